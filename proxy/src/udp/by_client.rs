//! Flows by their clients: a hash of each, and no second copy of what a client is.

use super::flows::{Flow, FlowClient, Place};
use crate::table::Hashed;
use slab::Slab;
use std::hash::{BuildHasher, RandomState};

/// Which flow a client has. Those whose clients have the same hash are a list through the flows.
#[derive(Debug, Default)]
pub(super) struct ByClient<S = RandomState> {
    hasher: S,
    first: Hashed<Place>,
}

impl<S: BuildHasher> ByClient<S> {
    /// Returns a hash of a client. That some few have the same one costs less than longer ones do.
    fn hash(&self, client: &FlowClient) -> u32 {
        self.hasher.hash_one(client) as u32
    }

    /// Returns the flow of a client.
    pub(super) fn find(&self, client: &FlowClient, flows: &Slab<Flow>) -> Option<usize> {
        let mut place = self.first.get(&self.hash(client)).copied()?;
        while let Some(index) = place.index() {
            let flow = flows.get(index)?;
            if flow.client == *client {
                return Some(index);
            }
            place = flow.alike;
        }
        None
    }

    /// Adds the flow at `index` of a client that has none. Returns the next one with the same hash.
    pub(super) fn insert(&mut self, client: &FlowClient, index: usize) -> Place {
        let hash = self.hash(client);
        self.first.insert(hash, Place::of(index)).unwrap_or(Place::NONE)
    }

    /// Removes the flow at `index`, which was just taken out of the others.
    pub(super) fn remove(&mut self, index: usize, flow: &Flow, others: &mut Slab<Flow>) {
        let hash = self.hash(&flow.client);
        let Some(first) = self.first.get_mut(&hash) else { return };
        if *first == Place::of(index) {
            *first = flow.alike;
            if first.index().is_none() {
                self.first.remove(&hash);
            }
            return;
        }
        let mut place = *first;
        while let Some(other) = place.index().and_then(|index| others.get_mut(index)) {
            if other.alike == Place::of(index) {
                other.alike = flow.alike;
                return;
            }
            place = other.alike;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::flows::tests::{client, flow};
    use std::hash::{BuildHasherDefault, Hasher};

    /// Tells few apart.
    #[derive(Default)]
    struct Coarse(u64);

    impl Hasher for Coarse {
        fn finish(&self) -> u64 {
            self.0 % 3
        }

        fn write(&mut self, bytes: &[u8]) {
            self.0 += bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
    }

    #[test]
    fn clients_of_the_same_hash_have_flows_of_their_own() {
        let mut by_client = ByClient::<BuildHasherDefault<Coarse>>::default();
        let mut flows = Slab::new();
        for port in 1..=30 {
            assert_eq!(by_client.find(&client(port), &flows), None);
            let index = flows.vacant_key();
            let alike = by_client.insert(&client(port), index);
            let mut flow = flow(client(port));
            flow.alike = alike;
            flows.insert(flow);
        }
        assert!(by_client.first.len() <= 3, "there are no more hashes");
        // First, last and middle ones of the lists go; the others stay where they are.
        for gone in [1, 30, 15, 16, 2, 29] {
            let index = by_client.find(&client(gone), &flows).unwrap();
            let flow = flows.remove(index);
            by_client.remove(index, &flow, &mut flows);
        }
        for port in 1..=30 {
            let found = by_client.find(&client(port), &flows);
            let is_gone = [1, 30, 15, 16, 2, 29].contains(&port);
            assert_eq!(found, (!is_gone).then(|| usize::from(port) - 1), "{port}");
        }
        for port in 1..=30 {
            if let Some(index) = by_client.find(&client(port), &flows) {
                let flow = flows.remove(index);
                by_client.remove(index, &flow, &mut flows);
            }
        }
        assert!(by_client.first.is_empty());
    }
}
