//! `dind.sh`: the order in which it ends things, and what it never touches.

use std::{fs, os::unix::fs::symlink, time::Duration};

use arc_rocm::scripts::{self, DIND_NAME};

use crate::world::{End, Job, Script, Shell, World, alive, can_unshare};

/// All that the script needs of an image besides docker. `mount` is for a test.
const TOOLS: [&str; 8] = ["grep", "mkdir", "mount", "rm", "sed", "sh", "sleep", "timeout"];

/// A dockerd that runs until SIGTERM, and notes whether its data is still there then.
const DOCKERD: &str = r#"
    trap 'note TERM with $(echo "$WORLD"/data/*); kill $!; exit 0' TERM
    sleep 60 &
    echo $$ >"$WORLD/dockerd.pid"
    wait"#;

/// A docker CLI whose daemon answers at once.
const DOCKER: &str = r#"note "DOCKER_HOST=${DOCKER_HOST-}""#;

/// The pod's name.
const POD: &str = "linux-mi300-2gpu-x7k2p-runner-q9w8e";

in_every_shell!(
    dind_sigterm_ends_dockerd_then_deletes_data,
    dind_flags_reach_dockerd_through_the_entrypoint,
    dind_without_entrypoint_starts_dockerd,
    dind_asks_docker_on_the_flags_socket,
    dind_removes_old_pid_files,
    dind_exits_with_the_status_of_dockerd,
    dind_fails_if_dockerd_exits_with_0,
    dind_sigterm_before_dockerd_is_up_exits_with_0,
    dind_keeps_data_if_dockerd_does_not_end,
    dind_second_sigterm_changes_nothing,
    dind_failing_docker_changes_nothing,
    dind_without_data_root_deletes_nothing,
    dind_data_root_slash_deletes_nothing,
    dind_data_root_with_odd_name_is_kept,
    dind_deletes_links_and_does_not_follow_them,
    dind_mount_in_the_data_root_keeps_it,
    dind_empties_only_what_the_pod_owns,
    dind_process_1_exits_with_0_and_leaves_nothing,
    dind_containers_go_below_the_pods_cgroup,
    dind_containers_go_below_the_pods_cgroup_v1,
    dind_sets_no_cgroup_parent_in_a_cgroup_namespace,
    dind_indivisible_cgroup_is_kept_and_reported,
    dind_cgroup_flags_of_the_template_are_kept,
    dind_dockerd_has_a_lower_oom_score_than_jobs,
    dind_docker_without_answer_exits_with_1,
    dind_docker_is_not_asked_again_after_an_answer,
    dind_sigterm_while_asking_docker_ends_at_once,
);

fn world(shell: Shell) -> World {
    let world = World::new(shell, &TOOLS);
    for (file, content) in
        [("data/overlay2/l/x", "x"), ("data/.h", "x"), ("data/..h", "x"), ("data/a b", "x")]
    {
        fs::create_dir_all(world.path(file).parent().unwrap()).unwrap();
        world.write(file, content);
    }
    fs::create_dir_all(world.path("proc/self")).unwrap();
    world.write("proc/self/cgroup", "0::/\n");
    // As in a container whose data root has the pod's name on the node.
    let mountinfo = format!(
        "1 0 0:1 / / rw - overlay o rw\n\
         2 1 8:1 /mnt/nvme/{POD}-docker {} rw - ext4 /dev/sda1 rw\n",
        world.text("data")
    );
    world.write("proc/self/mountinfo", &mountinfo);
    world.program("dockerd", DOCKERD);
    world.program("docker", DOCKER);
    world
}

fn data_root(world: &World) -> String {
    format!("--data-root={}", world.text("data"))
}

fn dind<'a>(world: &'a World, flags: &[&str]) -> Script<'a> {
    changed(world, &scripts::dind(true), flags)
}

/// With cgroups and files of the world, which has none unless a test makes them: this machine's
/// own are none of the script's business.
fn changed<'a>(world: &'a World, script: &str, flags: &[&str]) -> Script<'a> {
    let args: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    let paths = [
        "/sys/fs/cgroup",
        "/proc/self/cgroup",
        "/proc/self/mountinfo",
        "/proc/self/oom_score_adj",
        "/etc/docker",
        "/var/run/docker",
    ];
    let script = world.with_paths(script, &paths);
    world.script(&script, DIND_NAME, &args).env("POD_NAME", POD)
}

/// The script with 1 s for dockerd's end, and what that usually has.
fn hasty() -> (String, Duration) {
    const NAME: &str = "\nSTOP_SECONDS=";
    let script = scripts::dind(true);
    let (_, rest) = script.split_once(NAME).unwrap();
    let usual = rest.lines().next().unwrap();
    let hasty = script.replace(&format!("{NAME}{usual}\n"), &format!("{NAME}1\n"));
    (hasty, Duration::from_secs(usual.parse().unwrap()))
}

/// What the script gives dockerd to answer.
const START_SECONDS: &str = "120";

/// Lets dockerd's time to answer be over as soon as dockerd is up, with its trap.
fn up_and_over(world: &World) {
    let body = format!(
        "[ \"$1\" = {START_SECONDS} ] || exit 2
        until [ -s \"$WORLD/dockerd.pid\" ]; do \"$WORLD/tools/sleep\" 0.05; done
        exit 124"
    );
    world.program("timeout", &body);
}

fn terminate(world: &World, job: Job<'_>) -> End {
    world.await_text("dockerd.pid", "\n");
    job.terminate();
    job.end()
}

#[track_caller]
fn assert_kept(world: &World) {
    let names = ["data/overlay2/l/x", "data/.h", "data/..h", "data/a b"];
    assert!(names.iter().all(|name| world.exists(name)), "{:?}", world.calls());
}

fn dind_sigterm_ends_dockerd_then_deletes_data(shell: Shell) {
    let world = world(shell);
    let end = terminate(&world, dind(&world, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    let data = world.text("data");
    let ended = format!("TERM with {data}/a b {data}/overlay2");
    assert!(world.calls().contains(&ended), "{:?}", world.calls());
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0, "the directory is a mount point");
}

const ODD_FLAGS: [&str; 6] =
    ["--group=123", "--label=two words", "--label=a\nb", "--label='\"$(id)\\", "*", ""];

/// Starts a dockerd that writes its flags down, and ends it. Returns the first call.
#[track_caller]
fn flags_arrive(world: &World) -> String {
    let body = format!("for flag; do printf '<%s>' \"$flag\"; done >\"$WORLD/flags\"\n{DOCKERD}");
    world.program("dockerd", &body);
    let end = terminate(world, dind(world, &ODD_FLAGS).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.read("flags"), format!("<{}>", ODD_FLAGS.join("><")));
    world.calls().into_iter().find(|call| call.starts_with("dockerd")).unwrap()
}

fn dind_flags_reach_dockerd_through_the_entrypoint(shell: Shell) {
    let world = world(shell);
    let body = "note \"TINI_SUBREAPER=${TINI_SUBREAPER-}\"; exec \"$@\"";
    world.program("dockerd-entrypoint.sh", body);
    let call = flags_arrive(&world);
    assert!(call.starts_with("dockerd-entrypoint.sh dockerd --group=123"), "{call}");
    assert!(world.calls().contains(&"TINI_SUBREAPER=1".to_owned()), "{:?}", world.calls());
}

fn dind_without_entrypoint_starts_dockerd(shell: Shell) {
    let world = world(shell);
    let call = flags_arrive(&world);
    assert!(call.starts_with("dockerd --group=123"), "{call}");
}

fn dind_asks_docker_on_the_flags_socket(shell: Shell) {
    for (flags, env, asked) in [
        (&[][..], "unix:///from-env", "unix:///from-env"),
        (&["--host=tcp://0.0.0.0:2375", "--host=unix:///a", "--host=unix:///b"], "", "unix:///a"),
        (&["--host=unix:///a"], "unix:///from-env", "unix:///a"),
    ] {
        let world = world(shell);
        let job = dind(&world, flags).env("DOCKER_HOST", env).start();
        world.await_call("docker info");
        let end = terminate(&world, job);
        assert_eq!(end.code, Some(0), "{end:#?}");
        assert!(world.calls().contains(&format!("DOCKER_HOST={asked}")), "{:?}", world.calls());
    }
}

fn dind_removes_old_pid_files(shell: Shell) {
    let world = world(shell);
    fs::create_dir_all(world.path("var/run/docker/containerd")).unwrap();
    world.write("var/run/docker.pid", "1");
    world.write("var/run/docker/containerd/containerd.pid", "1");
    let stale = r#"for pid in docker.pid docker/containerd/containerd.pid; do
        [ ! -e "$WORLD/var/run/$pid" ] || note "stale $pid"
    done"#;
    world.program("dockerd", &format!("{stale}\n{DOCKERD}"));
    let end = terminate(&world, dind(&world, &[]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert!(!world.calls().iter().any(|call| call.starts_with("stale")), "{:?}", world.calls());
}

fn dind_exits_with_the_status_of_dockerd(shell: Shell) {
    let world = world(shell);
    world.program("dockerd", "echo 'failed to start daemon' >&2; exit 3");
    let end = dind(&world, &[&data_root(&world)]).run();
    assert_eq!(end.code, Some(3), "{end:#?}");
    end.says("failed to start daemon");
    end.says("arc-rocm-dind: dockerd ended by itself with status 3");
    assert_kept(&world);
}

fn dind_fails_if_dockerd_exits_with_0(shell: Shell) {
    let world = world(shell);
    world.program("dockerd", "");
    let end = dind(&world, &[&data_root(&world)]).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    end.says("dockerd ended by itself with status 0");
    assert_kept(&world);
}

fn dind_sigterm_before_dockerd_is_up_exits_with_0(shell: Shell) {
    let world = world(shell);
    // The entrypoint still probes iptables, and has no trap; no socket answers.
    world
        .program("dockerd-entrypoint.sh", "echo $$ >\"$WORLD/dockerd.pid\"; sleep 60; exec \"$@\"");
    world.program("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1");
    let end = terminate(&world, dind(&world, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert!(!end.stderr.contains("in time"), "no step takes all of its time: {end:#?}");
    assert!(!alive(&world.read("dockerd.pid")));
    assert!(!world.calls().iter().any(|call| call.starts_with("dockerd --")));
}

fn dind_keeps_data_if_dockerd_does_not_end(shell: Shell) {
    let world = world(shell);
    world.program("dockerd", "trap '' TERM; echo $$ >\"$WORLD/dockerd.pid\"; exec sleep 60");
    let (script, usual) = hasty();
    let end = terminate(&world, changed(&world, &script, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("dockerd did not end in time");
    assert_kept(&world);
    assert!(end.took < usual, "{end:#?}");
}

fn dind_second_sigterm_changes_nothing(shell: Shell) {
    let world = world(shell);
    let body = r#"trap 'note got TERM; until [ -e "$WORLD/go" ]; do sleep 0.05; done; exit 0' TERM
        echo $$ >"$WORLD/dockerd.pid"
        while :; do sleep 60 & wait $!; done"#;
    world.program("dockerd", body);
    let job = dind(&world, &[&data_root(&world)]).start();
    world.await_text("dockerd.pid", "\n");
    job.terminate();
    world.await_call("got TERM");
    job.terminate();
    world.write("go", "");
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
}

fn dind_failing_docker_changes_nothing(shell: Shell) {
    let world = world(shell);
    fs::remove_file(world.path("programs/docker")).unwrap();
    let end = terminate(&world, dind(&world, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
}

fn dind_without_data_root_deletes_nothing(shell: Shell) {
    let world = world(shell);
    world.program("rm", "");
    for flags in
        [&[][..], &["--data-root="], &["--data-root=data"], &["--data-root", &world.text("data")]]
    {
        let end = terminate(&world, dind(&world, flags).start());
        assert_eq!(end.code, Some(0), "{end:#?}");
        fs::remove_file(world.path("dockerd.pid")).unwrap();
    }
    assert!(!world.calls().iter().any(|call| call.starts_with("rm -rf")), "{:?}", world.calls());
    assert_kept(&world);
}

fn dind_data_root_slash_deletes_nothing(shell: Shell) {
    let world = world(shell);
    // In place of the real one, should the script ever come that far: in bash `cd //; pwd -P`
    // says `//`.
    world.program("rm", "");
    symlink("/", world.path("link")).unwrap();
    for dir in ["/", "//", "/.", "/proc/..", &world.text("link"), &world.text("missing")] {
        let end = terminate(&world, dind(&world, &[&format!("--data-root={dir}")]).start());
        assert_eq!(end.code, Some(0), "{end:#?}");
        fs::remove_file(world.path("dockerd.pid")).unwrap();
    }
    assert!(!world.calls().iter().any(|call| call.starts_with("rm -rf")), "{:?}", world.calls());
}

/// Its mounts could not be told from the lines of mountinfo, which escapes such names.
fn dind_data_root_with_odd_name_is_kept(shell: Shell) {
    let world = world(shell);
    fs::rename(world.path("data"), world.path("my data")).unwrap();
    let flag = format!("--data-root={}", world.text("my data"));
    let end = terminate(&world, dind(&world, &[&flag]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("not cleaning data root");
    assert!(world.exists("my data/overlay2/l/x"));
}

fn dind_deletes_links_and_does_not_follow_them(shell: Shell) {
    let world = world(shell);
    fs::create_dir(world.path("models")).unwrap();
    world.write("models/weights", "x");
    symlink(world.path("models"), world.path("data/models")).unwrap();
    let end = terminate(&world, dind(&world, &[&data_root(&world)]).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
    assert!(world.exists("models/weights"));
}

fn dind_mount_in_the_data_root_keeps_it(shell: Shell) {
    let flags = ["--user", "--map-root-user", "--mount"];
    if !can_unshare(&flags) {
        return;
    }
    let world = world(shell);
    fs::create_dir_all(world.path("models")).unwrap();
    world.write("models/weights", "x");
    fs::create_dir_all(world.path("data/volumes/models/_data")).unwrap();
    let bind = r#"mount --bind "$WORLD/models" "$WORLD/data/volumes/models/_data""#;
    world.program("dockerd", &format!("{bind}\n{DOCKERD}"));
    let script = changed(&world, &with_real_mounts(&world), &[&data_root(&world)]);
    let end = terminate(&world, script.behind(&[&["unshare"][..], &flags].concat()).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("data/volumes/models/_data is mounted");
    assert!(world.exists("models/weights"));
    assert_kept(&world);
}

/// The script with the mounts that its process really has.
fn with_real_mounts(world: &World) -> String {
    symlink("/proc/self", world.path("proc/process")).unwrap();
    fs::remove_file(world.path("proc/self/mountinfo")).unwrap();
    symlink("../process/mountinfo", world.path("proc/self/mountinfo")).unwrap();
    scripts::dind(true)
}

/// An emptyDir's path on the node.
const EMPTY_DIR: &str = "pods/0d1c6a1e-95a7-4f6e-a1f3-8c7f1c0f1a2b/volumes/empty-dir/docker-data";

/// With real mounts: `node/` has what is on the node, mounted as the kubelet and the runtime do it.
fn dind_empties_only_what_the_pod_owns(shell: Shell) {
    let flags = ["--user", "--map-root-user", "--mount"];
    if !can_unshare(&flags) {
        return;
    }
    let by_name = format!("mnt/nvme/{POD}-docker");
    for (on_node, mounted_at, name, is_emptied) in [
        // subPathExpr: $(POD_NAME)-docker
        (by_name.as_str(), "data", POD, true),
        // A directory below the mount.
        (by_name.as_str(), "", POD, true),
        (by_name.as_str(), "data", "linux-mi300-2gpu-x7k2p-runner-aaaaa", false),
        (by_name.as_str(), "data", "", false),
        // hostPath, PVC, NFS, CSI: without anything of the pod's.
        ("mnt/models", "data", POD, false),
        ("mnt/models", "", POD, false),
        // An emptyDir is the kubelet's to empty.
        (EMPTY_DIR, "data", POD, false),
    ] {
        let world = world(shell);
        let node = format!("node/{on_node}");
        fs::create_dir_all(world.path(&node)).unwrap();
        let files = if mounted_at == "data" { node.clone() } else { format!("{node}/docker") };
        fs::rename(world.path("data"), world.path(&files)).unwrap();
        fs::create_dir_all(world.path("data")).unwrap();
        // A directory of the pod's own below, over which the other is mounted.
        let below = format!("node/mnt/{POD}");
        fs::create_dir_all(world.path(&below)).unwrap();
        let mounts = format!(
            r#"mount --bind "$WORLD/{below}" "$WORLD/data"
            mount --bind "$WORLD/{node}" "$WORLD/data""#
        );
        world.program("dockerd", &format!("{mounts}\n{DOCKERD}"));
        let root = if mounted_at == "data" { "data" } else { "data/docker" };
        let flag = format!("--data-root={}", world.text(root));
        let script = changed(&world, &with_real_mounts(&world), &[&flag]).env("POD_NAME", name);
        let end = terminate(&world, script.behind(&[&["unshare"][..], &flags].concat()).start());
        assert_eq!(end.code, Some(0), "{end:#?}");
        let left = world.path(&files).read_dir().unwrap().count();
        assert_eq!(left, if is_emptied { 0 } else { 4 }, "{on_node} {name}: {end:#?}");
        if is_emptied || name.is_empty() {
            end.is_silent();
        } else {
            end.says("its path on the node has not the pod's name");
        }
    }
}

fn dind_process_1_exits_with_0_and_leaves_nothing(shell: Shell) {
    let flags = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL"];
    if !can_unshare(&flags) {
        return;
    }
    let world = world(shell);
    let script = dind(&world, &[&data_root(&world)]);
    let job = script.behind(&[&["unshare"][..], &flags].concat()).start();
    world.await_text("dockerd.pid", "\n");
    job.terminate_child();
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.is_silent();
    // A look at Docker that had begun may be noted later.
    assert!(world.calls().iter().any(|call| call.starts_with("TERM with ")), "{:?}", world.calls());
    assert_eq!(world.path("data").read_dir().unwrap().count(), 0);
}

/// The flag `--cgroup-parent` that dockerd gets, if any, and what else the script said.
#[track_caller]
fn cgroup_parent(world: &World, flags: &[&str]) -> (Option<String>, End) {
    let end = terminate(world, dind(world, flags).start());
    assert_eq!(end.code, Some(0), "{end:#?}");
    let call = world.calls().into_iter().find(|call| call.starts_with("dockerd")).unwrap();
    let mut words = call.split(' ');
    (words.rfind(|word| word.starts_with("--cgroup-parent")).map(str::to_owned), end)
}

const OWN: &str = "kubepods.slice/kubepods-burstable-pod1.slice/cri-containerd-2.scope";

/// A world on a node with cgroup v2, as a privileged container sees it: all of the node's.
fn version_2(shell: Shell) -> World {
    let world = world(shell);
    world.write("proc/self/cgroup", &format!("0::/{OWN}\n"));
    let own = format!("sys/fs/cgroup/{OWN}");
    fs::create_dir_all(world.path(&own)).unwrap();
    world.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
    world.write(&format!("{own}/cgroup.controllers"), "cpu memory pids\n");
    world.write(&format!("{own}/cgroup.procs"), "17\n");
    world.write(&format!("{own}/memory.oom.group"), "1\n");
    world
}

/// Issue 7: containers that land outside of the pod are not bound by its limits.
fn dind_containers_go_below_the_pods_cgroup(shell: Shell) {
    let world = version_2(shell);
    let (parent, end) = cgroup_parent(&world, &[]);
    assert_eq!(parent.unwrap(), format!("--cgroup-parent=/{OWN}/docker"));
    end.is_silent();
    let own = |file: &str| world.read(&format!("sys/fs/cgroup/{OWN}/{file}"));
    assert_eq!(own("init/cgroup.procs"), "17\n", "a cgroup with processes cannot be divided");
    assert_eq!(own("cgroup.subtree_control").trim(), "+cpu +memory +pids");
    assert_eq!(own("memory.oom.group"), "0\n", "a job that runs out of memory ends alone");
    assert!(!world.exists("sys/fs/cgroup/init"), "the node's own are not ours");
}

fn dind_containers_go_below_the_pods_cgroup_v1(shell: Shell) {
    let world = world(shell);
    let lines = "9:name=systemd:/x\n5:cpu,cpuacct:/y\n4:memory:/kubepods/pod1/2\n0::/z\n";
    world.write("proc/self/cgroup", lines);
    fs::create_dir_all(world.path("sys/fs/cgroup/memory/kubepods/pod1/2")).unwrap();
    let (parent, end) = cgroup_parent(&world, &[]);
    assert_eq!(parent.unwrap(), "--cgroup-parent=/kubepods/pod1/2/docker");
    end.is_silent();
}

fn dind_sets_no_cgroup_parent_in_a_cgroup_namespace(shell: Shell) {
    for (cgroup, made) in [
        ("4:memory:/kubepods/pod1/2\n0::/z\n", "memory/docker"),
        ("0::/\n", "init"),
        ("0::/../../kubepods/pod1/2\n", "init"),
        ("", "init"),
    ] {
        let world = world(shell);
        world.write("proc/self/cgroup", cgroup);
        fs::create_dir_all(world.path("sys/fs/cgroup").join(made)).unwrap();
        if made == "init" {
            world.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
        }
        let (parent, end) = cgroup_parent(&world, &[]);
        assert_eq!(parent, None, "{cgroup}");
        end.is_silent();
    }
}

fn dind_indivisible_cgroup_is_kept_and_reported(shell: Shell) {
    let world = version_2(shell);
    let control = world.path(&format!("sys/fs/cgroup/{OWN}/cgroup.subtree_control"));
    symlink("/dev/full", control).unwrap();
    let (parent, end) = cgroup_parent(&world, &[]);
    assert_eq!(parent, None);
    end.says("containers are not bound by the pod's limits");
}

/// dockerd would refuse to start with two.
fn dind_cgroup_flags_of_the_template_are_kept(shell: Shell) {
    for flag in ["--cgroup-parent=/own", "--exec-opt=native.cgroupdriver=systemd"] {
        let world = version_2(shell);
        let (parent, _) = cgroup_parent(&world, &[flag]);
        assert!(parent.is_none_or(|parent| parent == flag));
        assert!(!world.exists(&format!("sys/fs/cgroup/{OWN}/init")));
    }
    for (file, flag) in
        [("etc/docker/daemon.json", None), ("other.json", Some("--config-file=other.json"))]
    {
        let world = version_2(shell);
        fs::create_dir_all(world.path("etc/docker")).unwrap();
        world.write(file, "{\"cgroup-parent\": \"/own\"}");
        let flags: Vec<&str> = flag.into_iter().collect();
        assert_eq!(cgroup_parent(&world, &flags).0, None, "{file}");
    }
}

fn dind_dockerd_has_a_lower_oom_score_than_jobs(shell: Shell) {
    let world = world(shell);
    world.write("proc/self/oom_score_adj", "999\n");
    assert_eq!(cgroup_parent(&world, &[]).0, None);
    assert_eq!(world.read("proc/self/oom_score_adj"), "-500\n");
}

/// The pod would stay pending for ever, and ARC has no limit for that. A failed init container it
/// notices.
fn dind_docker_without_answer_exits_with_1(shell: Shell) {
    let world = world(shell);
    up_and_over(&world);
    let end = dind(&world, &[&data_root(&world)]).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    end.says(&format!("docker does not answer after {START_SECONDS} s, giving up"));
    assert!(world.calls().iter().any(|call| call.starts_with("TERM with ")));
    assert_kept(&world);
}

/// A daemon that a job keeps busy may take its time.
fn dind_docker_is_not_asked_again_after_an_answer(shell: Shell) {
    let world = world(shell);
    // It answers once.
    world.program("docker", r#"[ ! -e "$WORLD/up" ] || exit 1; : >"$WORLD/up""#);
    world.program("sleep", r#"exec "$WORLD/tools/sleep" "$@""#);
    let job = dind(&world, &[]).start();
    world.await_text("dockerd.pid", "\n");
    world.await_call("docker info");
    // A second question would come within half a second. Two more looks at dockerd are a second apart.
    let looks = || world.calls().iter().filter(|call| *call == "sleep 1").count();
    let end = looks() + 2;
    world.await_so("two more looks at dockerd", || looks() >= end);
    job.terminate();
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(world.calls().iter().filter(|call| *call == "docker info").count(), 1);
}

fn dind_sigterm_while_asking_docker_ends_at_once(shell: Shell) {
    let world = world(shell);
    world.program("docker", "[ \"$1\" != info ] || exec sleep 60");
    let job = dind(&world, &[]).start();
    world.await_call("docker info");
    world.await_text("dockerd.pid", "\n");
    job.terminate();
    let end = job.end();
    assert_eq!(end.code, Some(0), "{end:#?}");
    // Steps that take all of their time say so.
    end.is_silent();
}
