//! What a supervisor keeps so that another process can go on serving the mount.

use std::os::fd::OwnedFd;

use super::{Mode, Negotiated};
use crate::mount::MountError;

const VERSION: u8 = 1;
const LEN: usize = 11;

/// The outcome of the negotiation, which the kernel does not repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedState(pub(super) Negotiated);

/// A live mount without a process that serves it.
#[derive(Debug)]
pub struct Parts {
    /// The connected device.
    pub device: OwnedFd,
    /// What was negotiated on it.
    pub state: SavedState,
}

impl SavedState {
    /// How file data is served.
    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// Bytes: version, mode (0 passthrough, 1 writeback), flush on close (0, 1), capability bits
    /// (little endian u64).
    pub fn to_bytes(&self) -> Vec<u8> {
        let Negotiated {
            mode,
            flags,
            flush_on_close,
        } = self.0;
        let mut bytes = vec![
            VERSION,
            u8::from(mode == Mode::Writeback),
            u8::from(flush_on_close),
        ];
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MountError> {
        let bytes: &[u8; LEN] = bytes.try_into().map_err(|_| MountError::SavedState)?;
        let [VERSION, mode @ 0..=1, flush @ 0..=1, flags @ ..] = *bytes else {
            return Err(MountError::SavedState);
        };
        Ok(Self(Negotiated {
            mode: if mode == 1 {
                Mode::Writeback
            } else {
                Mode::Passthrough
            },
            flags: u64::from_le_bytes(flags),
            flush_on_close: flush == 1,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, Negotiated, SavedState};

    #[test]
    fn round_trip_and_golden_bytes() {
        let state = SavedState(Negotiated {
            mode: Mode::Writeback,
            flags: 0x0102_0304_0506_0708,
            flush_on_close: true,
        });
        let bytes = state.to_bytes();
        assert_eq!(bytes, [1, 1, 1, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(SavedState::from_bytes(&bytes).unwrap(), state);
    }

    #[test]
    fn damage_is_refused() {
        for bad in [
            &[][..],
            &[2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(SavedState::from_bytes(bad).is_err());
        }
    }
}
