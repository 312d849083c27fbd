//! Operations with a derivative of their own.
//!
//! On the CPU, burn's elementwise functions are scalar loops on one thread, its norms and (while gradients are recorded)
//! its attention are chains of small operations. Each function here is one parallel pass over `f32` tensors of the CPU
//! backend, recorded or not, and burn's own operations everywhere else. Results are the same from run to run and with
//! any number of threads: sums are taken over parts of fixed size in a fixed order.
//!
//! Letters in shapes: B batch, H heads, L sequence, D width, d width of a head, V vocabulary.

mod activation;
mod attention;
#[cfg(feature = "cpu")]
mod cpu;
mod cross_entropy;
mod linear;
mod neighbourhoods;
mod norm;
mod rotary;

pub use activation::{activate, silu_gate};
pub use attention::{Sight, attention, attention_hiding};
pub use cross_entropy::cross_entropy;
pub use linear::{linear, linear_all};
pub use neighbourhoods::neighbourhoods;
pub use norm::{layer_norm, rms_norm};
pub use rotary::rotate_halves;
