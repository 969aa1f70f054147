//! The server under test.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_rocm::{
    certs::{self, Issued},
    inject::Config,
    server::{self, Answerer, Drained, Limits, Service, Shutdown, admin},
    telemetry::Metrics,
    tls::{self, Files, Identity, Pair},
};
use axum::Router;
use tokio::runtime::Runtime;

use crate::client::{Client, Response, Tls};

/// A server on ports of its own, in a runtime of its own.
pub struct Server {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub ca: String,
    pub identity: Arc<Identity>,
    pub service: Arc<Service>,
    pub shutdown: Shutdown,
    running: Option<(server::Running, admin::Running)>,
    runtime: Runtime,
}

impl Server {
    pub fn start(limits: Limits) -> Self {
        Self::with_answerer(limits, arc_rocm::admission::answer)
    }

    pub fn with_answerer(limits: Limits, answerer: Answerer) -> Self {
        Self::with_workers(2, limits, answerer)
    }

    /// The same with another number of threads for connections.
    pub fn with_workers(workers: usize, limits: Limits, answerer: Answerer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .unwrap();
        let Issued { ca, certificate, key } = certs::issue(&[], 1).unwrap();
        let pair = Pair::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let identity = Arc::new(Identity::new(&pair));
        let service = Service::new(Config::default(), Metrics::default(), limits);
        let service = Arc::new(service.with_answerer(answerer));
        let config = tls::server_config(Arc::clone(&identity)).unwrap();
        let shutdown = Shutdown::new();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let admin = admin::spawn(any, Arc::clone(&service)).unwrap();
        let server = runtime.block_on(async {
            let listener = server::listen(any).unwrap();
            let router = server::router(&service, Router::default());
            server::spawn(listener, config, router, Arc::clone(&service), shutdown.clone()).unwrap()
        });
        let (address, admin_address) = (server.local_addr(), admin.local_addr());
        Self {
            address,
            admin: admin_address,
            ca,
            identity,
            service,
            shutdown,
            running: Some((server, admin)),
            runtime,
        }
    }

    pub fn connect(&self) -> Client<Tls> {
        Client::connect(self.address, &self.ca)
    }

    pub fn get(&self, path: &str) -> Response {
        Client::get(self.admin, path)
    }

    /// A metric's value; 0 if there is no such series.
    pub fn metric(&self, series: &str) -> u64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// Starts to watch a certificate's files.
    pub fn watch(&self, mut files: Files, period: Duration) {
        let pair = files.changed().unwrap().unwrap();
        self.identity.replace(&pair);
        let (identity, service) = (Arc::clone(&self.identity), Arc::clone(&self.service));
        self.runtime.spawn(server::watch_certificate(files, period, identity, service));
    }

    /// Waits for the end of a server that was asked to stop.
    pub fn join(&mut self) -> Drained {
        let (server, _admin) = self.running.take().unwrap();
        self.runtime.block_on(server.join()).unwrap()
    }
}

/// Longer than any wait on a busy machine: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a condition.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes a file of a folder as a whole, as the kubelet does, so that no look finds half of it.
pub fn swap(directory: &Path, file: &str, text: &str) {
    let new = directory.join("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, directory.join(file)).unwrap();
}

/// A captured review by name.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("tests/fixtures/arc/{name}.review.json");
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// All captured reviews.
pub fn fixtures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc");
    let mut all: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".review.json"))
        .collect();
    all.sort();
    all
}
