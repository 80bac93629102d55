//! The cases, one file per area.

use crate::Case;

mod attributes;
mod data;
mod directories;
mod links;
mod names;
mod open;
mod permissions;
mod rename;
mod times;
mod unlink;
mod xattr;

/// Every case.
pub fn all() -> Vec<Case> {
    [
        open::CASES,
        names::CASES,
        directories::CASES,
        links::CASES,
        unlink::CASES,
        rename::CASES,
        attributes::CASES,
        permissions::CASES,
        times::CASES,
        data::CASES,
        xattr::CASES,
    ]
    .concat()
}

/// Lists functions of this module as cases named `area/function`.
macro_rules! cases {
    ($area:literal: $($name:ident),* $(,)?) => {
        pub(super) const CASES: &[crate::Case] = &[
            $(crate::Case { name: concat!($area, "/", stringify!($name)), run: $name }),*
        ];
    };
}
pub(crate) use cases;
