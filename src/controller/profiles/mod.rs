//! RunnerProfile objects: watching them, checking one before it is stored, and writing whether each
//! is in force into its status.
//!
//! One owner compiles them together with the profile files (`cli::reload`). Here are the tasks
//! that talk to the API server.

mod status;
mod stored;
mod validate;
mod watch;

use std::{collections::BTreeMap, sync::Arc};

use axum::Router;
use kube::{Api, Client};
use tokio::sync::watch::{Receiver, Sender, channel};

pub use self::status::first_problem;
use self::{stored::Stored, validate::Validator};
use crate::{
    profile::{File, Object, Problem, status::RunnerProfileStatus},
    server::Service,
};

/// An object and the status that it has.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectWithStatus {
    /// What the compiler needs of it.
    pub object: Object,
    /// Its status; the default where it has none or one that cannot be read.
    pub status: RunnerProfileStatus,
    /// Its `metadata.resourceVersion`.
    pub version: Option<String>,
}

/// All objects; `None` until they have been listed for the first time.
pub type Snapshot = Option<Arc<Vec<ObjectWithStatus>>>;

/// Whether one object is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Acceptance {
    /// The `metadata.generation` that was compiled.
    pub generation: i64,
    /// Why the object is left out; without problems it is in force.
    pub problems: Vec<Problem>,
}

/// What was compiled together, and what became of it.
#[derive(Debug)]
pub struct Compiled {
    /// The files.
    pub files: Vec<File>,
    /// The objects.
    pub objects: Vec<Object>,
    /// Whether each of them is in force, by uid.
    pub acceptances: BTreeMap<String, Acceptance>,
}

/// The newest compilation; `None` until the objects have been read.
pub type Latest = Option<Arc<Compiled>>;

/// The owner's ends of the channels.
#[derive(Debug)]
pub struct Channels {
    /// All objects, whenever they have changed.
    pub snapshots: Receiver<Snapshot>,
    /// What became of them.
    pub compiled: Sender<Latest>,
}

/// Starts to watch the objects and to write their status, until the channels are dropped. The router
/// checks an object before it is stored.
pub fn spawn(client: &Client, service: &Arc<Service>) -> (Channels, Router<Arc<Service>>) {
    let api: Api<Stored> = Api::all(client.clone());
    let (snapshot, snapshots) = channel(None);
    let (compiled, latest) = channel(None);
    let router = validate::router(Validator::new(api.clone(), latest.clone()));
    tokio::spawn(watch::watch(api.clone(), snapshot, Arc::clone(service)));
    tokio::spawn(status::write(api, snapshots.clone(), latest));
    (Channels { snapshots, compiled }, router)
}
