//! RunnerProfile objects: watching them, and telling in their status what became of them.
//!
//! What they compile to is decided elsewhere, together with the profile files, by one owner; here
//! are the two ends that talk to the API server.

mod applied;
mod counts;
mod stored;
mod told;
mod watch;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use kube::{Api, Client};
use tokio::sync::watch::{Receiver, Sender, channel};

pub use self::told::first_problem;
use crate::{
    profile::{Object, Problem, status::RunnerProfileStatus},
    server::Service,
};

/// What became of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The `metadata.generation` that was looked at.
    pub generation: i64,
    /// What is wrong with it; without problems it is in force.
    pub problems: Vec<Problem>,
}

/// An object as it was seen last.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What the compiler needs of it.
    pub object: Object,
    /// Its status; the default where it has none or one that cannot be read.
    pub status: RunnerProfileStatus,
}

/// All objects; `None` until they have been listed for the first time.
pub type Sight = Option<Arc<Vec<Seen>>>;
/// The verdicts, by the objects' uids.
pub type Verdicts = Arc<BTreeMap<String, Verdict>>;

/// The owner's ends of both tasks.
#[derive(Debug)]
pub struct Feed {
    /// All objects, whenever they have changed.
    pub objects: Receiver<Sight>,
    /// What became of them.
    pub verdicts: Sender<Verdicts>,
}

/// Starts to watch and to write. Both go on until the feed is dropped.
pub fn spawn(client: &Client, service: Arc<Service>) -> Feed {
    let (sight, objects) = channel(None);
    let (verdicts, judged) = channel(Verdicts::default());
    tokio::spawn(watch::watch(Api::all(client.clone()), sight, Arc::clone(&service)));
    tokio::spawn(write::write(Api::all(client.clone()), objects.clone(), judged, service));
    Feed { objects, verdicts }
}
