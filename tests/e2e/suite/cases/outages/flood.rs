//! Clients of the webhook that are not the API server: half-sent bodies that hold its memory.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const CONNECT: Duration = Duration::from_secs(5);
/// Between two attempts of one client that was refused: long enough that handshakes alone do not keep
/// the machine busy.
const AGAIN: Duration = Duration::from_millis(500);

/// Size of an announced body, in bytes: more than `SMALL_BODY` in `src/server/limits.rs`, so that it
/// is counted, as the review of a large pod is.
const BODY: usize = 96 * 1024;
/// Clients of one address: more than the 32 MiB of `LARGE_BODIES` have room for, and fewer than the 1,024
/// connections that a server has places for.
const CLIENTS: usize = 960;

/// TLS that trusts the CA of a file.
pub(in crate::cases) fn trusting(ca: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).with_context(|| ca.display().to_string())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection to `address`, whose certificate is good for `host`.
pub(in crate::cases) async fn connect(
    tls: &TlsConnector,
    host: &str,
    address: &str,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned())?;
    let connect = async { tls.connect(name, TcpStream::connect(address).await?).await };
    Ok(tokio::time::timeout(CONNECT, connect).await??)
}

/// Keeps the memory budgets of all `addresses` full, until it is dropped.
pub(super) struct Flood {
    _clients: JoinSet<()>,
}

impl Flood {
    pub(super) fn start(tls: &TlsConnector, host: &str, addresses: &[String]) -> Self {
        let mut clients = JoinSet::new();
        for address in addresses {
            for _ in 0..CLIENTS {
                let (tls, host, address) = (tls.clone(), host.to_owned(), address.clone());
                clients.spawn(async move {
                    loop {
                        // Refused, closed or timed out: the next one.
                        let _ = hold(&tls, &host, &address).await;
                        tokio::time::sleep(AGAIN).await;
                    }
                });
            }
        }
        Self { _clients: clients }
    }
}

/// Sends a body but for its last byte, and waits for what the server makes of it.
async fn hold(tls: &TlsConnector, host: &str, address: &str) -> anyhow::Result<()> {
    let mut stream = connect(tls, host, address).await?;
    let head = format!(
        "POST /mutate HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {BODY}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let body = vec![b' '; BODY - 1];
    let (mut read, mut write) = tokio::io::split(stream);
    let mut answer = [0; 64];
    let sent = async {
        write.write_all(&body).await?;
        write.flush().await?;
        std::future::pending::<std::io::Result<()>>().await
    };
    tokio::select! {
        sent = sent => sent?,
        read = read.read(&mut answer) => drop(read?),
    }
    Ok(())
}
