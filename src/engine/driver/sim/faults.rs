//! What a kernel may do at its whim.

/// How often a kernel does what it need not, of a hundred times.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Faults {
    /// A send takes only a part although there is room for more.
    pub(in crate::engine) partial: u8,
    /// A send takes nothing: EAGAIN, ENOBUFS.
    pub(in crate::engine) no_room: u8,
    /// A receive gives a part, or nothing.
    pub(in crate::engine) short_receive: u8,
    /// A watch does not fire yet.
    pub(in crate::engine) late: u8,
    /// What an earlier socket of a slot had armed is told when it is closed.
    pub(in crate::engine) stale: u8,
    /// Accepting fails for want of descriptors.
    pub(in crate::engine) no_descriptor: u8,
    /// A socket cannot be made an ordinary descriptor.
    pub(in crate::engine) not_taken: u8,
}

impl Faults {
    /// Whether a core is told of everything at once, and what it is told of works.
    pub(in crate::engine) fn is_prompt(self) -> bool {
        [self.late, self.no_room, self.partial, self.short_receive] == [0; 4]
    }
}
