//! What a copy of a node costs.

use super::{Node, NodeValue};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) nodes: usize,
    /// Of keys and values; what a string takes beside its text is in `nodes`.
    pub(super) bytes: usize,
    /// Maps and lists inside one another.
    pub(super) depth: usize,
}

impl Size {
    /// The depth of a tree is bounded, and so is this recursion.
    pub(super) fn of(node: &Node) -> Self {
        let mut total = Self { nodes: 1, ..Self::default() };
        match &node.value {
            NodeValue::List(items) => {
                for item in items {
                    total.add(Self::of(item));
                }
                total.depth += 1;
            }
            NodeValue::Map(entries) => {
                for entry in entries {
                    total.add(Self::of(&entry.value));
                    total.bytes += entry.key.len();
                }
                total.depth += 1;
            }
            NodeValue::String(text) | NodeValue::Ambiguous(text) => total.bytes = text.len(),
            _ => total.bytes = node.raw.as_deref().map_or(0, str::len),
        }
        total
    }

    fn add(&mut self, child: Self) {
        let Self { nodes, bytes, depth } = child;
        self.nodes += nodes;
        self.bytes += bytes;
        self.depth = self.depth.max(depth);
    }
}
