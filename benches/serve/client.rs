//! A minimal client for keep-alive HTTP/1.1 over TLS, so that it takes little CPU time.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Result;

/// A server and the request to send.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    tls: TlsConnector,
    request: Request,
}

/// A request that changes each time it is sent.
#[derive(Clone)]
struct Request {
    bytes: Vec<u8>,
    /// Positions of the digits that change.
    digits: Vec<Range<usize>>,
    /// The number of the next request of all connections.
    next: Arc<AtomicU32>,
}

/// One round.
pub(super) struct Load {
    pub(super) connections: usize,
    pub(super) round: Duration,
}

/// The results of one round.
pub(super) struct Round {
    pub(super) elapsed: Duration,
    pub(super) latencies: Vec<Duration>,
    pub(super) errors: usize,
}

impl Target {
    /// Each request is `review` with other digits at each of `varied`.
    pub(super) fn new(
        address: SocketAddr,
        ca: &[u8],
        review: &str,
        varied: &[&str],
    ) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let request = Request::new(review, varied)?;
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)), request })
    }

    /// The body of one answer.
    pub(super) async fn answer(&self) -> Result<Vec<u8>> {
        let mut connection = self.connect().await?;
        let end = connection.ask(self.request.clone().another()).await?;
        Ok(connection.buffer.get(end..connection.filled).unwrap_or_default().to_vec())
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
        Ok(Connection { stream, buffer: vec![0; 64 * 1024], filled: 0 })
    }
}

impl Load {
    pub(super) async fn run(&self, target: &Target) -> Result<Round> {
        let mut tasks = Vec::new();
        let begin = Instant::now();
        for _ in 0..self.connections {
            let mut connection = target.connect().await?;
            let (mut request, round) = (target.request.clone(), self.round);
            tasks.push(tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(200_000);
                let mut errors = 0;
                loop {
                    let request = request.another();
                    let asked = Instant::now();
                    if connection.ask(request).await.is_err() {
                        errors += 1;
                        break;
                    }
                    latencies.push(asked.elapsed());
                    if begin.elapsed() >= round {
                        break;
                    }
                }
                (latencies, errors)
            }));
        }
        let mut round = Round { elapsed: Duration::ZERO, latencies: Vec::new(), errors: 0 };
        for task in tasks {
            let (latencies, errors) = task.await?;
            round.latencies.extend(latencies);
            round.errors += errors;
        }
        round.elapsed = begin.elapsed();
        Ok(round)
    }
}

impl Request {
    /// A review as the API server sends it.
    fn new(review: &str, varied: &[&str]) -> Result<Self> {
        let head = format!(
            "POST /mutate?timeout=5s HTTP/1.1\r\nHost: localhost\r\n\
             User-Agent: kube-apiserver-admission\r\nContent-Length: {}\r\n\
             Accept: application/json, */*\r\nContent-Type: application/json\r\n\
             Accept-Encoding: gzip\r\n\r\n",
            review.len()
        );
        let mut digits = Vec::new();
        for text in varied {
            let places = review.match_indices(text).map(|(place, _)| head.len() + place);
            let ranges: Vec<_> = places.map(|place| place..place + text.len()).collect();
            if ranges.is_empty() {
                return Err(format!("the review has no {text}").into());
            }
            digits.extend(ranges);
        }
        let bytes = [head.as_bytes(), review.as_bytes()].concat();
        Ok(Self { bytes, digits, next: Arc::default() })
    }

    /// The bytes of the next request.
    fn another(&mut self) -> &[u8] {
        let mut text = *b"00000000";
        let mut number = self.next.fetch_add(1, Ordering::Relaxed);
        for digit in text.iter_mut().rev() {
            *digit = b"0123456789abcdef".get(number as usize % 16).copied().unwrap_or_default();
            number /= 16;
        }
        for range in &self.digits {
            let digits = text.len().checked_sub(range.len()).and_then(|begin| text.get(begin..));
            if let (Some(place), Some(digits)) = (self.bytes.get_mut(range.clone()), digits) {
                place.copy_from_slice(digits);
            }
        }
        &self.bytes
    }
}

struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Sends a request and reads the answer, which must be a 200 with a Content-Length. Returns the
    /// offset of the body.
    async fn ask(&mut self, request: &[u8]) -> Result<usize> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.filled = 0;
        loop {
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let read = self.stream.read(space).await?;
            if read == 0 {
                return Err("closed".into());
            }
            self.filled += read;
            let text = self.buffer.get(..self.filled).unwrap_or_default();
            let Some(head) = text.windows(4).take(2048).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            if !text.starts_with(b"HTTP/1.1 200") {
                return Err("not a 200".into());
            }
            let length = content_length(text.get(..head).unwrap_or_default())?;
            if self.filled >= head + 4 + length {
                return Ok(head + 4);
            }
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    let line = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    Ok(line.ok_or("no Content-Length")?.trim().parse()?)
}
