//! A small blocking HTTP/1.1 client that can also misbehave.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion, client::Resumption, crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Longer than anything in these tests takes, so that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection, with or without TLS.
pub struct Client<S> {
    stream: S,
    unread: Vec<u8>,
}

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: String,
    headers: Vec<(String, String)>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

/// A TCP connection and nothing more.
pub fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Waits for the other side to close.
pub fn until_closed(stream: &mut impl Read) {
    let mut rest = [0; 1024];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "the connection stays open");
                break;
            }
        }
    }
}

fn config(
    ca: &str,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[u8],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A client that resumes sees the certificate of its first handshake for ever.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

impl Client<Tls> {
    /// Connects and completes the handshake.
    pub fn connect(address: SocketAddr, ca: &str) -> Self {
        Self::try_connect(address, ca, ALL_VERSIONS, b"http/1.1").unwrap()
    }

    pub fn try_connect(
        address: SocketAddr,
        ca: &str,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[u8],
    ) -> io::Result<Self> {
        let config = config(ca, versions, alpn);
        let name = "localhost".try_into().unwrap();
        let mut session = ClientConnection::new(config, name).unwrap();
        let mut stream = tcp(address);
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self { stream: StreamOwned::new(session, stream), unread: Vec::new() })
    }

    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.stream.conn.handshake_kind()
    }

    pub fn alpn(&self) -> Option<&[u8]> {
        self.stream.conn.alpn_protocol()
    }

    /// The certificate that the server showed.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Ends the writing half, without a word to TLS.
    pub fn half_close(&self) {
        self.stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
    }
}

impl Client<TcpStream> {
    pub fn plain(address: SocketAddr) -> Self {
        Self { stream: tcp(address), unread: Vec::new() }
    }

    /// Gets a page of the admin port.
    pub fn get(address: SocketAddr, path: &str) -> Response {
        let mut client = Self::plain(address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n").as_bytes());
        client.response()
    }
}

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends what the server may not want to read to its end.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Posts a review.
    pub fn review(&mut self, body: &[u8]) -> Response {
        self.post("/mutate?timeout=10s", "application/json", body)
    }

    pub fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> Response {
        self.send(&head(path, content_type, body.len()));
        self.send(body);
        self.response()
    }

    /// Posts a review, which may be all that is heard of the connection.
    pub fn try_review(&mut self, body: &[u8]) -> io::Result<Response> {
        self.try_send(&head("/mutate", "application/json", body.len()))?;
        self.try_send(body)?;
        self.try_response()
    }

    /// Reads one response.
    pub fn response(&mut self) -> Response {
        self.try_response().unwrap()
    }

    /// Reads one response, unless the connection ends before its end.
    pub fn try_response(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut response = Response { status, body: String::new(), headers };
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            self.fill()?;
        }
        response.body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        Ok(response)
    }

    /// Waits for the server to close.
    pub fn until_closed(&mut self) {
        until_closed(&mut self.stream);
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        let count = self.stream.read(&mut bytes)?;
        self.unread.extend_from_slice(&bytes[..count]);
        if count > 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// The head of a POST.
pub fn head(path: &str, content_type: &str, length: usize) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: arc-rocm.arc-rocm.svc\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}
