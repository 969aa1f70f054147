//! `cargo bench --bench serve` measures requests per second and latency of `arc-rocm serve`. It
//! compares them with a bare server of the same stack (hyper, rustls) that always answers the same
//! bytes. Every review has its own uid, pod name and owner.
//!
//! Each server is its own process. The client runs on the same cores and costs both servers the
//! same share. Rounds alternate, so a drift of the machine affects both.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

mod bare;
mod client;
mod report;

use std::{
    env,
    error::Error,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use client::{Load, Target};
use report::Figures;

/// Duration of one round against one server.
const ROUND: Duration = Duration::from_secs(3);
/// Number of rounds per server and number of connections; the median counts.
const ROUNDS: usize = 5;
/// Numbers of keep-alive connections.
const CONNECTIONS: [usize; 2] = [1, 16];
/// Parts of the captured review that differ in every request: the end of the pod's and its owner's
/// name, the beginning of the request's uid and of the owner's.
const VARIED: [&str; 3] = ["b9ms2", "8cce6214", "f88d59e7"];

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    if let Some(index) = arguments.iter().position(|argument| argument == "--bare") {
        let file = |offset: usize| arguments.get(index + offset).map(String::as_str);
        return bare::serve(file(1), file(2), file(3));
    }
    let seconds = env::var("ARC_ROCM_BENCH_ROUND_SECONDS").ok().and_then(|text| text.parse().ok());
    measure(seconds.map_or(ROUND, Duration::from_secs))
}

fn measure(round: Duration) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let review = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arc/plain.review.json"),
    )?;
    let program = env!("CARGO_BIN_EXE_arc-rocm");
    run(Command::new(program).args(["certs", "--out"]).arg(folder.path()))?;
    let path = |name: &str| folder.path().join(name);
    let ca = fs::read(path("ca.crt"))?;

    let log = fs::File::create(path("log"))?;
    let webhook = Server::start(
        Command::new(program)
            .args(["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"])
            .args(["--log-format", "json", "--tls-cert"])
            .arg(path("tls.crt"))
            .arg("--tls-key")
            .arg(path("tls.key")),
        log,
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut target = Target::new(webhook.address, &ca, &review, &VARIED)?;
    let answer = runtime.block_on(target.answer())?;
    fs::write(path("answer"), &answer)?;
    let bare = Server::start(
        Command::new(env::current_exe()?)
            .arg("--bare")
            .arg(path("tls.crt"))
            .arg(path("tls.key"))
            .arg(path("answer")),
        fs::File::create(path("bare.log"))?,
    )?;
    println!("review {} bytes, answer {} bytes, rounds of {round:?}", review.len(), answer.len());
    let idle = webhook.resident_kilobytes()?;

    for connections in CONNECTIONS {
        let mut figures = [Figures::default(), Figures::default()];
        for _ in 0..ROUNDS {
            for (server, figures) in [&webhook, &bare].into_iter().zip(&mut figures) {
                target.address = server.address;
                figures.add(runtime.block_on(Load { connections, round }.run(&target))?);
            }
        }
        report::print(connections, &figures);
    }
    println!(
        "resident: {} kB idle, {} kB after; bare server {} kB after",
        idle,
        webhook.resident_kilobytes()?,
        bare.resident_kilobytes()?
    );
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
    }
}

/// A server process, which ends when this value is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it and waits for the address in its first lines on standard error, which then goes
    /// on to `log`.
    fn start(command: &mut Command, mut log: fs::File) -> Result<Self> {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        let mut line = String::new();
        let address = loop {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Err("the server ended before it served".into());
            }
            let found =
                line.split_once(r#""address":""#).and_then(|(_, rest)| rest.split_once('"'));
            if let Some((address, _)) = found {
                break address.parse()?;
            }
        };
        std::thread::spawn(move || std::io::copy(&mut lines, &mut log));
        Ok(Self { child, address })
    }

    fn resident_kilobytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
