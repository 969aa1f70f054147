//! The server over real sockets, with a real TLS client.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy knows test functions, not their helpers"
)]
#![expect(unreachable_pub, reason = "nothing is public in a test binary")]

mod bounded;
mod client;
mod drain;
mod events;
mod http;
mod limits;
mod memory;
mod process;
mod same;
mod server;
mod tls;
