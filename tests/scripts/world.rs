//! A directory with devices, programs and files of its own, and scripts run in it.

use std::{
    fmt::Write as _,
    fs::{self, File, Permissions},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::program::program;

/// uid and gid of the user `runner` in the actions-runner image.
pub(crate) const RUNNER: u32 = 1001;

/// gid of the render group on some nodes, which the runner is not in.
const RENDER: u32 = 110;

/// No step of any test takes this long, not even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What may be `/bin/sh`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shell {
    Dash,
    Busybox,
    Bash,
    /// bash called by the name `sh`, as on the RHEL family.
    BashPosix,
}

impl Shell {
    pub(crate) const ALL: [Self; 4] = [Self::Dash, Self::Busybox, Self::Bash, Self::BashPosix];

    pub(crate) fn command(self) -> Command {
        let argv = self.argv();
        let mut command = Command::new(argv[0].clone());
        command.args(&argv[1..]);
        command
    }

    fn argv(self) -> Vec<PathBuf> {
        match self {
            Self::Dash => vec![program("dash")],
            Self::Busybox => vec![program("busybox"), "sh".into()],
            Self::Bash => vec![program("bash")],
            Self::BashPosix => vec![program("bash"), "--posix".into()],
        }
    }
}

/// Makes a module of four tests, one per shell, of each `fn(Shell)` named.
macro_rules! in_every_shell {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use crate::world::Shell;

            #[test]
            fn dash() {
                super::$name(Shell::Dash);
            }

            #[test]
            fn busybox() {
                super::$name(Shell::Busybox);
            }

            #[test]
            fn bash() {
                super::$name(Shell::Bash);
            }

            #[test]
            fn bash_posix() {
                super::$name(Shell::BashPosix);
            }
        }
    )*};
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Whether this machine lets the tests make namespaces; a container without that right does not.
pub(crate) fn can_unshare(flags: &[&str]) -> bool {
    let output = Command::new(program("unshare")).args(flags).arg(program("true")).output();
    let able = output.is_ok_and(|output| output.status.success());
    if !able {
        eprintln!("NOT TESTED: unshare {flags:?} is not permitted here");
    }
    able
}

/// A node of KFD's topology.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kfd {
    Cpu,
    Gpu {
        minor: u32,
        unique_id: u64,
    },
    /// Another container's GPU: reading its files gives EPERM.
    Refused,
}

/// The directory. All that runs in it finds only the tools named at its making, and `program`s.
pub(crate) struct World {
    dir: TempDir,
    pub(crate) shell: Shell,
}

impl World {
    /// A world with `dev/kfd`, `dev/dri`, `podinfo` and links to `tools`: busybox' own for busybox.
    pub(crate) fn new(shell: Shell, tools: &[&str]) -> Self {
        let world = Self { dir: TempDir::with_prefix("arc-rocm-").unwrap(), shell };
        fs::set_permissions(world.dir.path(), Permissions::from_mode(0o755)).unwrap();
        for dir in ["dev/dri", "podinfo", "programs", "tools"] {
            fs::create_dir_all(world.path(dir)).unwrap();
        }
        world.write("dev/kfd", "");
        world.chmod("dev/kfd", 0o666);
        for tool in tools {
            let target = match shell {
                Shell::Busybox => program("busybox"),
                _ => program(tool),
            };
            symlink(target, world.path("tools").join(tool)).unwrap();
        }
        world.write("calls", "");
        world
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn text(&self, path: &str) -> String {
        self.path(path).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        fs::write(self.path(path), content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// A script with this world's paths instead of the machine's.
    pub(crate) fn with_paths(&self, script: &str, paths: &[&str]) -> String {
        paths.iter().fold(script.to_owned(), |script, path| {
            assert!(script.contains(path), "{path}");
            script.replace(path, &self.text(&path[1..]))
        })
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).unwrap();
    }

    /// Lets `by_runner` write here; without root everything belongs to the one user there is.
    pub(crate) fn give_to_runner(&self, path: &str) {
        if is_root() {
            chown(self.path(path), Some(RUNNER), Some(RUNNER)).unwrap();
        }
    }

    /// Render nodes that everybody may open.
    pub(crate) fn nodes(&self, names: &[&str]) {
        for name in names {
            let node = format!("dev/dri/{name}");
            self.write(&node, "");
            self.chmod(&node, 0o666);
        }
    }

    /// A node that everybody may open, of this group where the tests may say so. Returns its GID.
    pub(crate) fn node_of_group(&self, name: &str, gid: u32) -> u32 {
        let node = format!("dev/dri/{name}");
        self.nodes(&[name]);
        if is_root() {
            chown(self.path(&node), None, Some(gid)).unwrap();
        }
        fs::metadata(self.path(&node)).unwrap().gid()
    }

    pub(crate) fn folder(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    /// A render node as udev makes it, of a group that the runner is not in. Returns its GID.
    pub(crate) fn closed_node(&self, name: &str) -> u32 {
        self.closed(&format!("dev/dri/{name}"))
    }

    /// The same for any device.
    pub(crate) fn closed(&self, node: &str) -> u32 {
        self.write(node, "");
        if is_root() {
            chown(self.path(node), None, Some(RENDER)).unwrap();
        }
        self.chmod(node, if is_root() { 0o660 } else { 0 });
        fs::metadata(self.path(node)).unwrap().gid()
    }

    /// KFD's topology, one folder per node in the order given.
    pub(crate) fn kfd(&self, nodes: &[Kfd]) {
        for (number, node) in nodes.iter().enumerate() {
            let dir = format!("sys/class/kfd/kfd/topology/nodes/{number}");
            fs::create_dir_all(self.path(&dir)).unwrap();
            let (id, minor, unique) = match node {
                Kfd::Cpu => (0, 0, 0),
                Kfd::Gpu { minor, unique_id } => (4096 + number, *minor, *unique_id),
                // A folder cannot be read as a file, not even by root: opened, then refused.
                Kfd::Refused => {
                    fs::create_dir_all(self.path(&format!("{dir}/gpu_id"))).unwrap();
                    fs::create_dir_all(self.path(&format!("{dir}/properties"))).unwrap();
                    continue;
                }
            };
            self.write(&format!("{dir}/gpu_id"), &format!("{id}\n"));
            self.write(
                &format!("{dir}/properties"),
                &format!(
                    "cpu_cores_count 0\nsimd_count 1216\ngfx_target_version 90402\n\
                     location_id 1280\ndomain 0\ndrm_render_minor {minor}\nhive_id 1\n\
                     unique_id {unique}\nnum_xcc 8\n"
                ),
            );
        }
    }

    /// Puts a program into PATH that notes its call, then does `body`.
    ///
    /// `$WORLD` is the directory, and `note` writes a line of its own.
    pub(crate) fn program(&self, name: &str, body: &str) {
        let mut text = format!("#!/bin/sh\nWORLD='{}'\n", self.dir.path().display());
        text.push_str("note() { printf '%s\\n' \"$*\" >>\"$WORLD/calls\"; }\n");
        writeln!(text, "note {name} \"$@\"\n{body}").unwrap();
        self.write("program", &text);
        // Not written here: while another test's thread forks, its child would hold the open
        // file for a moment, and a file that is open for writing cannot be executed.
        let status = Command::new(program("install"))
            .args(["-m", "0755", "--"])
            .args([self.path("program"), self.path("programs").join(name)])
            .status();
        assert!(status.unwrap().success());
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.read("calls").lines().map(str::to_owned).collect()
    }

    pub(crate) fn await_call(&self, line: &str) {
        self.await_text("calls", line);
    }

    #[track_caller]
    pub(crate) fn await_text(&self, path: &str, text: &str) {
        let read = || fs::read_to_string(self.path(path)).unwrap_or_default();
        self.await_so(&format!("{text:?} in {path}"), || read().contains(text));
    }

    #[track_caller]
    pub(crate) fn await_so(&self, what: &str, mut so: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !so() {
            assert!(
                Instant::now() < end,
                "never {what}; calls {:?}, stderr {:?}",
                self.read("calls"),
                self.read("stderr")
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the parent of the process whose number is in a file sleeps: then it has done all
    /// that it does between its fork and its wait.
    #[track_caller]
    pub(crate) fn await_sleep_of_parent(&self, path: &str) {
        // State and parent, behind a name that may have blanks in it.
        let state = |pid: &str| -> (String, String) {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
            let mut words = stat.rsplit(')').next().unwrap().split_whitespace().map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        };
        let (_, parent) = state(&self.read(path));
        self.await_so(&format!("asleep, the parent of {path}"), || state(&parent).0 == "S");
    }

    /// `SHELL -c script name args...`
    pub(crate) fn script(&self, script: &str, name: &str, args: &[String]) -> Script<'_> {
        let mut words: Vec<String> =
            self.shell.argv().iter().map(|word| word.to_str().unwrap().to_owned()).collect();
        words.extend(["-c", script, name].map(str::to_owned));
        words.extend_from_slice(args);
        Script {
            world: self,
            argv: words,
            env: Vec::new(),
            stdin: String::new(),
            has_pod_paths: false,
        }
    }
}

impl Drop for World {
    /// Ends what a script has left in a process group of its own, as `timeout` has: without its tools,
    /// a loop that sleeps between two looks would not even sleep.
    fn drop(&mut self) {
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        for process in processes {
            let folder = fs::read_link(process.path().join("cwd")).unwrap_or_default();
            if folder.starts_with(self.dir.path()) {
                kill("KILL", &process.file_name().to_string_lossy());
            }
        }
    }
}

/// A script about to be run.
pub(crate) struct Script<'a> {
    world: &'a World,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    stdin: String,
    has_pod_paths: bool,
}

impl<'a> Script<'a> {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What it says and the `gha-*` files that it writes get the paths of a pod, for those of the world.
    pub(crate) fn says_paths_of_a_pod(mut self) -> Self {
        self.has_pod_paths = true;
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    /// Puts a command that execs its arguments before the script.
    pub(crate) fn behind(mut self, words: &[&str]) -> Self {
        let mut argv = vec![program(words[0]).to_str().unwrap().to_owned()];
        argv.extend(words[1..].iter().map(|&word| word.to_owned()));
        argv.append(&mut self.argv);
        self.argv = argv;
        self
    }

    /// Behind `setpriv` to the runner's user; without root, this user has to do.
    pub(crate) fn by_runner(self) -> Self {
        if !is_root() {
            return self;
        }
        let (uid, gid) = (format!("--reuid={RUNNER}"), format!("--regid={RUNNER}"));
        self.behind(&["setpriv", &uid, &gid, "--clear-groups"])
    }

    pub(crate) fn run(self) -> End {
        self.start().end()
    }

    pub(crate) fn start(self) -> Job<'a> {
        let Self { world, argv, env, stdin, has_pod_paths } = self;
        let output = |name: &str| File::create(world.path(name)).unwrap();
        world.write("stdin", &stdin);
        let path = format!("{}:{}", world.text("programs"), world.text("tools"));
        let child = Command::new(&argv[0])
            .args(&argv[1..])
            .env_clear()
            .env("PATH", path)
            .envs(env)
            .current_dir(world.dir.path())
            .stdin(File::open(world.path("stdin")).unwrap())
            // Files, since a pipe stays open for as long as any left-over process has it.
            .stdout(output("stdout"))
            .stderr(output("stderr"))
            .process_group(0)
            .spawn()
            .unwrap();
        Job { world, child, begin: Instant::now(), has_pod_paths }
    }
}

/// A script that runs, in a process group of its own.
pub(crate) struct Job<'a> {
    world: &'a World,
    child: Child,
    begin: Instant,
    has_pod_paths: bool,
}

impl Job<'_> {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn terminate(&self) {
        kill("TERM", &self.pid().to_string());
    }

    /// SIGTERM to process 1 of the PID namespace that `unshare --fork` made.
    pub(crate) fn terminate_child(&self) {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        kill("TERM", children.trim());
    }

    pub(crate) fn end(mut self) -> End {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "still running; stderr {:?}", self.world.read("stderr"));
            thread::sleep(Duration::from_millis(2));
        };
        if self.has_pod_paths {
            let files = ["stderr", "podinfo/gha-render-devices"];
            for file in files.into_iter().filter(|file| self.world.exists(file)) {
                let text = self.world.read(file);
                fs::write(self.world.path(file), text.replace(&self.world.text(""), "/")).unwrap();
            }
        }
        End {
            code: status.code(),
            signal: status.signal(),
            stdout: self.world.read("stdout"),
            stderr: self.world.read("stderr"),
            took: self.begin.elapsed(),
        }
    }
}

impl Drop for Job<'_> {
    /// Ends left-over processes of this group only. The script was reaped a moment ago at most, so its
    /// process ID is not reused yet.
    fn drop(&mut self) {
        kill("KILL", &format!("-{}", self.pid()));
        let _ = self.child.wait();
    }
}

/// How a script ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl End {
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
    }

    #[track_caller]
    pub(crate) fn is_silent(&self) {
        assert_eq!(self.stderr, "", "{self:#?}");
    }
}

/// dash has `kill` built in, where an own program would be one more package.
pub(crate) fn kill(signal: &str, target: &str) {
    Command::new(program("dash"))
        .args(["-c", "kill -s \"$1\" -- \"$2\"", "kill", signal, target])
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

/// Whether a process, by the number the tests see, is alive and no zombie.
pub(crate) fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}
