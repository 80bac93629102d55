//! Pages of lists: `limit`, `cursor`, `next_cursor`, `has_more`.
//!
//! A cursor is the place in the list's order after which the next page begins, never a number of
//! items to skip, so that rows inserted or deleted meanwhile neither repeat nor hide others. Its
//! text means nothing to clients.

/// Items in a page when the request does not say.
pub const PAGE_LIMIT_DEFAULT: usize = 50;
/// Most items in a page.
pub const PAGE_LIMIT_MAX: usize = 100;
