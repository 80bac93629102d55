//! Promises of futures, and errors as Node makes them.

use mesa_fs::{Error, FileSystem};
use napi::{
    Env, JsValue, Result, Status,
    bindgen_prelude::{JsObjectValue, Object, ToNapiValue},
};

/// A promise that settles as the future ends. The future runs on the filesystem's own threads.
pub fn promise<'env, T, V>(
    env: &'env Env,
    fs: &FileSystem,
    work: impl Future<Output = mesa_fs::Result<T>> + Send + 'static,
    convert: impl FnOnce(T) -> V + Send + 'static,
) -> Result<Object<'env>>
where
    T: Send + 'static,
    V: ToNapiValue + 'static,
{
    let (deferred, promise) = env.create_deferred()?;
    fs.runtime().spawn(async move {
        let outcome = work.await;
        deferred.resolve(move |env: Env| match outcome {
            Ok(value) => Ok(convert(value)),
            Err(error) => Err(rejection(&env, &error)),
        });
    });
    Ok(promise)
}

/// The same for what needs no conversion.
pub fn plain<'env, T>(
    env: &'env Env,
    fs: &FileSystem,
    work: impl Future<Output = mesa_fs::Result<T>> + Send + 'static,
) -> Result<Object<'env>>
where
    T: ToNapiValue + Send + 'static,
{
    promise(env, fs, work, |value| value)
}

/// An error object with Node's properties.
pub fn rejection(env: &Env, error: &Error) -> napi::Error {
    match object(env, error) {
        Ok(object) => napi::Error::from(object.to_unknown()),
        Err(failed) => failed,
    }
}

fn object<'env>(env: &'env Env, error: &Error) -> Result<Object<'env>> {
    let text = napi::Error::new(Status::GenericFailure, error.to_string());
    let mut object = env.create_error(text)?;
    object.set_named_property("code", error.name())?;
    object.set_named_property("errno", -error.errno())?;
    object.set_named_property("syscall", error.syscall())?;
    if let Some(path) = error.path() {
        object.set_named_property("path", path.to_string_lossy().into_owned())?;
    }
    if let Some(dest) = error.dest() {
        object.set_named_property("dest", dest.to_string_lossy().into_owned())?;
    }
    if let Some(code) = error.server_code() {
        object.set_named_property("serverCode", code)?;
    }
    Ok(object)
}
