//! A stand-in for GitHub's service as ARC's client sees it, so that an unchanged installation of
//! ARC makes runner pods where there is no GitHub organization to serve.
//!
//! ARC takes any host that is not GitHub's own for a GitHub Enterprise Server, with its API below
//! `/api/v3` (`actions/scaleset`, `config.go`), also over plain HTTP. So a scale set whose
//! `githubConfigUrl` is `http://HOST:PORT/ORGANIZATION` registers here, gets its listener's
//! session, and is told of jobs that a script assigns (`/control`, in `control.rs`). No job is
//! ever run: the configuration that a runner gets leads nowhere.
//!
//! The core (`service.rs` and what it is made of) knows no HTTP; `routes.rs` is HTTP alone. Shapes
//! and codes are those that the client `actions/scaleset` 0.4.0 of ARC 0.14.2 expects.

mod clock;
mod control;
mod jobs;
mod jwt;
mod queue;
mod refusal;
mod routes;
mod scale_set;
mod scope;
mod service;
mod tokens;

#[cfg(test)]
mod wire_tests;

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser as _;
use tokio::net::TcpListener;

use crate::{
    routes::{App, router},
    service::{Service, Settings},
};

/// A stand-in for GitHub's service, as ARC sees it
#[derive(Clone, Debug, clap::Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one. The address is printed
    #[arg(long, env = "GITHUB_STAND_IN_LISTEN", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,

    /// How long a poll for messages is held when there is none, in seconds
    #[arg(
        long,
        default_value_t = 50,
        value_parser = clap::value_parser!(u64).range(..=routes::HOLD_MAX),
        value_name = "SECONDS"
    )]
    hold: u64,

    /// How long a token is valid, in seconds. ARC renews it a minute before
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    token_lifetime: u64,

    /// A runner group that every organization has beside its default one
    #[arg(long = "runner-group", value_name = "NAME")]
    groups: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Args { listen, hold, token_lifetime, groups } = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing::Level::INFO.into())
                .from_env_lossy(),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let listener = TcpListener::bind(listen).await.with_context(|| format!("binding {listen}"))?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    let service = Service::new(Settings { token_lifetime, groups });
    let app = App::new(service, Duration::from_secs(hold));
    // Polls are not waited for: after a stop nothing needs their responses.
    tokio::select! {
        served = axum::serve(listener, router(app)) => Ok(served?),
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}
