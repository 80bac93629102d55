//! SQLite's own file layer, with writes, truncations and syncs also told to [`crate::disk`].
//!
//! Each open file keeps SQLite's object and gets a copy of its method table in which four methods
//! are ours; they note the call and pass it on.

#![allow(
    unsafe_code,
    reason = "SQLite's file layer is a C interface; this is a test"
)]

use std::{
    collections::HashMap,
    ffi::{CStr, OsStr, c_char, c_int, c_void},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::LazyLock,
};

use parking_lot::Mutex;
use rusqlite::ffi::{
    SQLITE_OK, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
    sqlite3_vfs_find, sqlite3_vfs_register,
};

use crate::disk;

/// What a sync does to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Makes everything written before it durable.
    Honest,
    /// Nothing.
    Ignored,
}

struct Open {
    /// `None` for files that are not part of the model.
    path: Option<PathBuf>,
    sync: Sync,
    methods: &'static sqlite3_io_methods,
}

/// Open files by the address of SQLite's object.
static OPEN: LazyLock<Mutex<HashMap<usize, Open>>> = LazyLock::new(Mutex::default);

/// Registers the layer (again, if it was) and answers its name.
pub fn register(sync: Sync) -> String {
    static LOCK: Mutex<()> = Mutex::new(());
    let _once = LOCK.lock();
    let (name, open): (&CStr, _) = match sync {
        Sync::Honest => (c"honest", open_honest as OpenMethod),
        Sync::Ignored => (c"ignored", open_ignored as OpenMethod),
    };
    // SAFETY: the default layer exists for the life of the process; the copy registered here is
    // leaked, so it does too, and its name is static. A layer found by name was made here.
    unsafe {
        if sqlite3_vfs_find(name.as_ptr()).is_null() {
            let own = Box::leak(Box::new(*sqlite3_vfs_find(std::ptr::null())));
            own.zName = name.as_ptr();
            own.pNext = std::ptr::null_mut();
            own.xOpen = Some(open);
            own.xDelete = Some(delete);
            assert_eq!(sqlite3_vfs_register(own, 0), SQLITE_OK);
        }
    }
    name.to_str().unwrap().to_owned()
}

type OpenMethod = unsafe extern "C" fn(
    *mut sqlite3_vfs,
    sqlite3_filename,
    *mut sqlite3_file,
    c_int,
    *mut c_int,
) -> c_int;

unsafe extern "C" fn open_honest(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's arguments are passed on.
    unsafe { open(name, file, flags, out, Sync::Honest) }
}

unsafe extern "C" fn open_ignored(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's arguments are passed on.
    unsafe { open(name, file, flags, out, Sync::Ignored) }
}

/// # Safety
/// The arguments are those of an `xOpen` call.
unsafe fn open(
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
    sync: Sync,
) -> c_int {
    // SAFETY: `file` has the default layer's size, since our layer is a copy of it; on success
    // its method table is static, and ours is leaked.
    unsafe {
        let default = sqlite3_vfs_find(std::ptr::null());
        let code = (*default).xOpen.unwrap()(default, name, file, flags, out);
        if code == SQLITE_OK {
            let methods = &*(*file).pMethods;
            let path = (!name.is_null()).then(|| path_of(name));
            if let Some(path) = &path {
                disk::opened(path);
            }
            OPEN.lock().insert(
                file as usize,
                Open {
                    path,
                    sync,
                    methods,
                },
            );
            (*file).pMethods = Box::leak(Box::new(sqlite3_io_methods {
                xClose: Some(close),
                xWrite: Some(write),
                xTruncate: Some(truncate),
                xSync: Some(synchronise),
                ..*methods
            }));
        }
        code
    }
}

/// # Safety
/// `name` is a C string.
unsafe fn path_of(name: *const c_char) -> PathBuf {
    // SAFETY: as this function's.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    PathBuf::from(OsStr::from_bytes(bytes))
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite's arguments are passed on to the default layer.
    unsafe {
        disk::deleted(&path_of(name));
        let default = sqlite3_vfs_find(std::ptr::null());
        (*default).xDelete.unwrap()(default, name, sync)
    }
}

/// The file's path in the model, what a sync does, and SQLite's own methods.
fn known(file: *mut sqlite3_file) -> (Option<PathBuf>, Sync, &'static sqlite3_io_methods) {
    let open = OPEN.lock();
    let open = &open[&(file as usize)];
    (open.path.clone(), open.sync, open.methods)
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let (_, _, methods) = known(file);
    OPEN.lock().remove(&(file as usize));
    // SAFETY: SQLite's own method on its own object.
    unsafe { methods.xClose.unwrap()(file) }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    offset: sqlite3_int64,
) -> c_int {
    let (path, _, methods) = known(file);
    // SAFETY: SQLite hands in `len` readable bytes, and its own method gets its own object.
    unsafe {
        if let Some(path) = path {
            let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), len as usize);
            disk::written(&path, offset as usize, bytes);
        }
        methods.xWrite.unwrap()(file, bytes, len, offset)
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, len: sqlite3_int64) -> c_int {
    let (path, _, methods) = known(file);
    if let Some(path) = path {
        disk::truncated(&path, len as usize);
    }
    // SAFETY: SQLite's own method on its own object.
    unsafe { methods.xTruncate.unwrap()(file, len) }
}

unsafe extern "C" fn synchronise(file: *mut sqlite3_file, _: c_int) -> c_int {
    let (path, sync, _) = known(file);
    // The model is the disk here: the real one need not be waited for.
    if let (Some(path), Sync::Honest) = (path, sync) {
        disk::synced(&path);
    }
    SQLITE_OK
}
