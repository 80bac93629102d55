//! What one worker of the daemon leaves for the next.

/// Any bytes are a state or refused.
pub fn check(data: &[u8]) {
    if let Ok(state) = mesa_fuse::SavedState::from_bytes(data) {
        let bytes = state.to_bytes();
        assert!(mesa_fuse::SavedState::from_bytes(&bytes).is_ok());
    }
}
