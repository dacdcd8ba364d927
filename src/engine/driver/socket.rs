//! Sockets by slot and generation, so that what comes late for an earlier socket of the same slot
//! is recognised (I8).

use std::ops::Range;

/// One socket of a driver: a dense slot, and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct Socket {
    pub(in crate::engine) slot: u32,
    /// 24 bits; it shares a word with the slot and the operation in `user_data`.
    pub(in crate::engine) generation: u32,
}

/// State by slot, valid for one generation.
#[derive(Debug)]
pub(in crate::engine) struct Sockets<T> {
    slots: Vec<Slot<T>>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    state: Option<T>,
}

const GENERATION_MASK: u32 = (1 << 24) - 1;

impl<T> Sockets<T> {
    pub(in crate::engine) fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    pub(in crate::engine) fn len(&self) -> usize {
        self.len
    }

    /// Takes a vacant slot into use under a new generation.
    pub(in crate::engine) fn open(&mut self, slot: u32, state: T) -> Socket {
        let index = slot as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || Slot { generation: 0, state: None });
        }
        let entry = &mut self.slots[index];
        debug_assert!(entry.state.is_none(), "a slot is vacated before it is reused");
        self.len += usize::from(entry.state.is_none());
        entry.generation = (entry.generation + 1) & GENERATION_MASK;
        entry.state = Some(state);
        Socket { slot, generation: entry.generation }
    }

    /// Sets the state of a socket that another table has opened.
    pub(in crate::engine) fn adopt(&mut self, socket: Socket, state: T) {
        let index = socket.slot as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || Slot { generation: 0, state: None });
        }
        let entry = &mut self.slots[index];
        self.len += usize::from(entry.state.is_none());
        *entry = Slot { generation: socket.generation, state: Some(state) };
    }

    pub(in crate::engine) fn get(&self, socket: Socket) -> Option<&T> {
        let entry = self.slots.get(socket.slot as usize)?;
        entry.state.as_ref().filter(|_| entry.generation == socket.generation)
    }

    pub(in crate::engine) fn get_mut(&mut self, socket: Socket) -> Option<&mut T> {
        let entry = self.slots.get_mut(socket.slot as usize)?;
        entry.state.as_mut().filter(|_| entry.generation == socket.generation)
    }

    /// Vacates the slot.
    pub(in crate::engine) fn close(&mut self, socket: Socket) -> Option<T> {
        self.get(socket)?;
        self.len -= 1;
        self.slots[socket.slot as usize].state.take()
    }

    /// Slots that have been in use, whether they are or not.
    pub(in crate::engine) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The sockets in use among these slots, which there must be.
    pub(in crate::engine) fn range(
        &self,
        slots: Range<usize>,
    ) -> impl Iterator<Item = (Socket, &T)> {
        self.slots[slots.clone()].iter().zip(slots).filter_map(|(entry, slot)| {
            let socket = Socket { slot: slot as u32, generation: entry.generation };
            Some((socket, entry.state.as_ref()?))
        })
    }

    /// All sockets in use.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = (Socket, &T)> {
        self.range(0..self.slots.len())
    }
}
