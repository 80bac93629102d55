//! Texts that users write: configuration files, sizes, tag filters.

/// Any text is a configuration or a list of problems that name lines.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for problem in mesa_config::check(&text) {
        assert!(!problem.message.is_empty());
    }
    let _ = mesa_config::size::parse_size(&text);
    let _ = mesa_repo::tags::TagFilter::parse(&text);
}
