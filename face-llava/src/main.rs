//! The command line `face-llava`.
#![allow(clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    landmarks::memory::keep_freed_blocks();
    // Panics of a backend become one line, like every other error.
    std::panic::set_hook(Box::new(|_| ()));
    match std::panic::catch_unwind(cli::run) {
        Ok(code) => code,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
            eprintln!("face-llava: internal error: {}; please report it", text.lines().next().unwrap_or(text));
            ExitCode::from(1)
        }
    }
}
