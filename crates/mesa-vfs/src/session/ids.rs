//! File ids in reserve.

use std::collections::VecDeque;

use mesa_proto::v1;
use mesa_types::FileId;

/// Ranges granted by the server, used from the front.
#[derive(Debug, Default)]
pub(super) struct IdReserve {
    ranges: VecDeque<(u64, u32)>,
    left: u64,
    asked: bool,
}

impl IdReserve {
    /// Adds a range; the answer to a request when one was made.
    pub fn grant(&mut self, range: &v1::IdRange) {
        self.asked = false;
        let possible = range.first.checked_add(u64::from(range.count)).is_some();
        if range.count > 0 && range.first != 0 && possible {
            self.ranges.push_back((range.first, range.count));
            self.left += u64::from(range.count);
        }
    }

    /// What is left: first ids and counts.
    pub fn ranges(&self) -> Vec<(u64, u32)> {
        self.ranges.iter().copied().collect()
    }

    /// The next id.
    pub fn take(&mut self) -> Option<FileId> {
        let (first, count) = self.ranges.front_mut()?;
        let id = *first;
        *first += 1;
        *count -= 1;
        if *count == 0 {
            self.ranges.pop_front();
        }
        self.left -= 1;
        Some(FileId(id))
    }

    /// Whether the reserve is empty.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Whether more should be asked for soon.
    pub fn is_low(&self, low: u32) -> bool {
        !self.asked && self.left < u64::from(low)
    }

    /// Whether more should be asked for now; remembers that it was.
    pub fn should_ask(&mut self, low: u32) -> bool {
        let ask = !self.asked && self.left < u64::from(low);
        self.asked |= ask;
        ask
    }

    /// A new stream: what was asked on the old one is not answered.
    pub fn reconnected(&mut self) {
        self.asked = false;
    }

    /// Gives the ids up (another session starts); returns the last range, to hand back.
    pub fn clear(&mut self) -> Option<v1::IdRange> {
        let last = self.ranges.pop_back();
        *self = Self::default();
        last.map(|(first, count)| v1::IdRange { first, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_in_order_and_are_asked_for_once() {
        let mut ids = IdReserve::default();
        assert_eq!(ids.take(), None);
        assert!(ids.should_ask(2));
        assert!(!ids.should_ask(2));
        ids.grant(&v1::IdRange {
            first: 10,
            count: 2,
        });
        ids.grant(&v1::IdRange {
            first: 20,
            count: 1,
        });
        let taken: Vec<_> = std::iter::from_fn(|| ids.take()).collect();
        assert_eq!(taken, [FileId(10), FileId(11), FileId(20)]);
        assert!(ids.is_empty());
        assert!(ids.should_ask(2));
        ids.grant(&v1::IdRange {
            first: u64::MAX,
            count: 2,
        });
        assert!(ids.is_empty(), "there are no such ids");
    }
}
