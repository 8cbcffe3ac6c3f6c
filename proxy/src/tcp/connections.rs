//! The connections of a relay: found by place, and by the number that the links know them by.

use super::connection::RelayedConnection;
use crate::route_shared::RouteShared;
use crate::table::{Table, lowest};
use slab::Slab;

/// All connections of a relay.
#[derive(Debug)]
pub(super) struct Connections {
    slab: Slab<RelayedConnection>,
    /// Places, in half the room that they could take.
    by_id: Table<u32, u32>,
    /// What gives them their numbers, and says when the time of the rules began.
    route_shared: RouteShared,
}

fn place(index: usize) -> u32 {
    u32::try_from(index).expect("a process has fewer sockets")
}

impl Connections {
    /// No connections, which have this in common with those of other loops.
    pub(super) fn new(route_shared: RouteShared) -> Self {
        Self { slab: Slab::new(), by_id: Table::default(), route_shared }
    }

    /// Returns what they have in common with those of other loops.
    pub(super) const fn route_shared(&self) -> &RouteShared {
        &self.route_shared
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns where the next one will be.
    pub(super) fn next_index(&self) -> usize {
        self.slab.vacant_key()
    }

    /// Returns a number of places that has all of them below it.
    pub(super) fn places(&self) -> usize {
        self.slab.capacity()
    }

    /// Adds a connection, made with its number, and returns that.
    pub(super) fn add(&mut self, make: impl FnOnce(u32) -> RelayedConnection) -> u32 {
        let id = self.route_shared.next_number();
        let index = self.slab.insert(make(id));
        self.by_id.insert(id, place(index));
        id
    }

    /// Adds a client that is to get its number [later](Self::number).
    pub(super) fn add_unnumbered(&mut self, connection: RelayedConnection) {
        self.slab.insert(connection);
    }

    /// Gives a client the next number, in place of the one that it may have had, and returns that.
    pub(super) fn number(&mut self, index: usize) -> u32 {
        self.by_id.remove(&self.slab[index].id);
        let id = self.route_shared.next_number();
        self.slab[index].id = id;
        self.by_id.insert(id, place(index));
        id
    }

    /// Returns the connection at a place, unless it was closed.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut RelayedConnection> {
        self.slab.get_mut(index)
    }

    /// Returns the same, to look at it.
    pub(super) fn get(&self, index: usize) -> Option<&RelayedConnection> {
        self.slab.get(index)
    }

    /// Returns the connection at a place, if it is still the one with this number.
    pub(super) fn get_same(&mut self, index: usize, id: u32) -> Option<&mut RelayedConnection> {
        self.slab.get_mut(index).filter(|connection| connection.id == id)
    }

    /// Returns the connection at a place where there is one.
    pub(super) fn at(&mut self, index: usize) -> &mut RelayedConnection {
        &mut self.slab[index]
    }

    /// Returns the place of the connection with this number, unless it was closed.
    pub(super) fn place(&self, id: u32) -> Option<usize> {
        self.by_id.get(&id).map(|place| *place as usize)
    }

    /// Returns the places of the connections with the lowest numbers above `after`, at most `most`
    /// of them and in order, and whether there are more.
    pub(super) fn lowest(&self, after: u32, most: usize) -> (Vec<(u32, u32)>, bool) {
        lowest(&self.by_id, after, most)
    }

    /// Removes the connection at a place.
    pub(super) fn remove(&mut self, index: usize) -> RelayedConnection {
        let connection = self.slab.remove(index);
        self.by_id.remove(&connection.id);
        connection
    }

    /// Returns the places of all.
    pub(super) fn indices(&self) -> Vec<usize> {
        self.slab.iter().map(|(index, _)| index).collect()
    }
}
