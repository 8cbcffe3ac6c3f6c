//! The one kind of table that is hashed: what is looked up for every packet.

/// From keys to places in a slab.
#[expect(
    clippy::disallowed_types,
    reason = "looked up for every packet; nothing depends on its order"
)]
pub(crate) type Table<K> = std::collections::HashMap<K, usize>;
