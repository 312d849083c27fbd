//! Files that appear whole or not at all.

use std::io;
use std::path::Path;

use crate::Error;

/// What the names of temporary files begin with.
const TEMPORARY: &str = ".face-llava-";
/// What the names of temporary folders begin with.
const PARTIAL: &str = "partial-";
/// Letters of the wanted folder's name that follow.
const MAX_SHOWN: usize = 40;
/// Held by the process that fills the folder.
const LOCK: &str = ".lock";

/// Lets `write` fill a temporary file beside `path`, flushes it to the disk and renames it to `path`. Whatever goes
/// wrong, an older file stays as it was and nothing is left behind.
///
/// # Errors
/// [`Error::Io`].
pub fn write_whole(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Error> {
    let fail = |source| Error::Io { path: path.into(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // Temporary files are private by default; what a user asked for follows the user's own rules.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(fail)?;
    let permissions = file.as_file().metadata().map_err(fail)?.permissions();
    write(file.path()).map_err(fail)?;
    // By now another file may have that name: some writers rename theirs to it.
    let written = std::fs::OpenOptions::new().write(true).open(file.path()).map_err(fail)?;
    written.set_permissions(permissions).map_err(fail)?;
    written.sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// The same for bytes at hand.
///
/// # Errors
/// [`Error::Io`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_whole(path, |temporary| std::fs::write(temporary, bytes))
}

/// Lets `fill` fill a temporary folder beside `path`, flushes it to the disk and renames it to `path`, which must not be
/// there yet. Whatever goes wrong, nothing is left behind; what a killed process leaves is removed by the next one that
/// writes `path`, while what a living one is writing stays.
///
/// # Errors
/// [`Error::Io`], and those of `fill`.
pub fn write_folder<E: From<Error>>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let fail = |source| Error::Io { path: path.into(), source };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!("{PARTIAL}{}-", name.chars().take(MAX_SHOWN).collect::<String>());
    remove(parent, |entry| {
        entry.file_name().to_str().is_some_and(|n| n.starts_with(&prefix)) && is_left(&entry.path())
    });
    let partial = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).map_err(fail)?;
    let lock = std::fs::File::create(partial.path().join(LOCK)).map_err(fail)?;
    lock.try_lock().map_err(|error| fail(error.into()))?;
    fill(partial.path())?;
    drop(lock);
    std::fs::remove_file(partial.path().join(LOCK)).map_err(fail)?;
    // Temporary folders are private by default.
    #[cfg(unix)]
    std::fs::set_permissions(partial.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(fail)?;
    sync(partial.path()).map_err(fail)?;
    std::fs::rename(partial.path(), path).map_err(fail)?;
    // The folder has moved; there is nothing left to remove.
    let _ = partial.keep();
    Ok(sync(parent).map_err(fail)?)
}

/// Removes all temporary folders that [`write_folder`] leaves in `parent` when its process is killed. For one who knows that
/// nobody else writes there.
pub fn remove_partial(parent: &Path) {
    remove(parent, |entry| entry.file_name().as_encoded_bytes().starts_with(PARTIAL.as_bytes()));
}

/// Removes all temporary files that [`write_whole`] leaves in `folder` when its process is killed, and in folders inside it down
/// to `depth`. For one who knows that nobody else writes there.
pub fn remove_temporary(folder: &Path, depth: usize) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // Links are not followed.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => remove_temporary(&entry.path(), depth - 1),
            Ok(kind) if kind.is_file() && entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) => {
                // One that stays takes room and does no other harm.
                let _ = std::fs::remove_file(entry.path());
            }
            _ => {}
        }
    }
}

/// Whether a folder was begun and nobody holds its lock.
fn is_left(folder: &Path) -> bool {
    std::fs::File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

fn remove(parent: &Path, which: impl Fn(&std::fs::DirEntry) -> bool) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten().filter(which) {
        // One that stays takes room and does no other harm.
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_bytes(&path, b"old").unwrap();
        let failed = write_whole(&path, |temporary| {
            std::fs::write(temporary, b"half")?;
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // What a killed process leaves goes when asked for, no deeper than that, and nothing else.
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        let left = |name: &str| folder.path().join(name).join(format!("{TEMPORARY}x"));
        for (depth, gone) in [(0, 1), (1, 2)] {
            ["", "b", "b/c"].iter().for_each(|name| std::fs::write(left(name), b"half").unwrap());
            remove_temporary(folder.path(), depth);
            assert_eq!(["", "b", "b/c"].map(|name| left(name).exists()), [gone < 1, gone < 2, true]);
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_bytes(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_took_the_place_of_the_temporary_one_gets_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [plain, moved] = ["plain", "moved"].map(|name| folder.path().join(name));
        write_bytes(&plain, b"a").unwrap();
        write_whole(&moved, |temporary| {
            let other = tempfile::NamedTempFile::new_in(folder.path())?;
            std::fs::write(other.path(), b"b")?;
            other.persist(temporary)?;
            Ok(())
        })
        .unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!((std::fs::read(&moved).unwrap().as_slice(), mode(&moved)), (b"b".as_slice(), mode(&plain)));
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let failed = write_folder(&path, |partial| {
            write_bytes(&partial.join("half"), b"half")?;
            Err(Error::NotAFile { path: partial.into() })
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write_folder(&path, |partial| write_bytes(&partial.join("whole"), b"whole")).unwrap();
        // What killed processes leave goes, what a living one writes stays, and what was never one's own.
        let [left, own, backup] = ["partial-b-1", "partial-b-2", "partial-b-backup"].map(|n| folder.path().join(n));
        for begun in [&left, &own, &backup] {
            std::fs::create_dir_all(begun.join("y")).unwrap();
        }
        std::fs::write(left.join(LOCK), "").unwrap();
        let lock = std::fs::File::create(own.join(LOCK)).unwrap();
        lock.lock().unwrap();
        write_folder(&folder.path().join("b"), |_| Ok::<_, Error>(())).unwrap();
        let names = || {
            let entries =
                std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            entries.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(), ["a", "b", "partial-b-2", "partial-b-backup"].map(String::from).into());
        assert_eq!(std::fs::read_dir(folder.path().join("b")).unwrap().count(), 0);
        remove_partial(folder.path());
        assert_eq!(std::fs::read(path.join("whole")).unwrap(), b"whole");
        assert_eq!(names(), ["a", "b"].map(String::from).into());
    }
}
