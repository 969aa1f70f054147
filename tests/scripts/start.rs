//! `start.sh`: what it writes, when it refuses to start the runner, and that it gets out of the way.

use std::{path::Path, time::Duration};

use arc_rocm::scripts::{START, START_NAME};

use crate::{
    consumers::{bash_words, docker_env_file, github_env, grep_count, shlex_pairs, vllm_devices},
    world::{Script, Shell, World, can_unshare, is_root},
};

/// All that the script needs of an image. `cat`, `env` and `sh` are for the commands below.
const TOOLS: [&str; 16] = [
    "chmod", "date", "id", "mkdir", "mv", "rm", "sed", "sleep", "sort", "stat", "tail", "tee",
    "timeout", "cat", "env", "sh",
];

pub(crate) const DEVICES: &str = "podinfo/gha-render-devices";
pub(crate) const ISOLATION: &str = "podinfo/gha-gpu-isolation-settings";
const READY_AT_SECOND_CALL: &str =
    r#"[ -e "$WORLD/podinfo/ready" ] && exit; : >"$WORLD/podinfo/ready"; exit 1"#;
/// A `date` that goes a minute with every look at it.
const LEAPS: &str =
    r#"t=$(cat "$WORLD/podinfo/t" 2>/dev/null); echo $((t)); echo $((t + 60)) >"$WORLD/podinfo/t""#;
/// A `date` for which no second ends between two looks at it.
const STANDS_STILL: &str = "echo 0";
pub(crate) const RAN: [&str; 3] = ["sh", "-c", "echo ran"];

in_every_shell!(
    render_nodes_are_listed_by_number,
    group_add_words_come_first_and_may_be_absent,
    consumers_can_read_what_is_written,
    no_render_node_keeps_the_runner_from_starting,
    fewer_nodes_than_gpus_keep_the_runner_from_starting,
    more_nodes_than_gpus_are_all_used_with_a_warning,
    a_node_that_cannot_be_opened_is_named_with_its_group_and_ours,
    a_node_that_cannot_be_opened_does_not_count,
    a_cpu_runner_gets_no_device_file_and_needs_no_device,
    isolation_settings_are_always_there_and_empty_unless_asked_for,
    files_are_readable_for_all_under_any_umask,
    an_unwritable_podinfo_is_reported_and_the_runner_starts,
    the_exit_code_is_the_commands_own,
    arguments_survive_unchanged,
    stdin_is_the_commands_own,
    the_environment_is_neither_read_nor_changed,
    sigterm_reaches_the_command_under_the_scripts_pid,
    a_ready_docker_costs_no_time,
    docker_is_asked_again_every_fifth_of_a_second_until_it_answers,
    the_wait_for_docker_ends_with_dockers_last_words,
    the_last_attempt_may_still_succeed,
    a_docker_that_hangs_is_not_waited_for_longer_than_one_that_fails,
    a_long_wait_says_so_every_few_seconds,
    without_a_docker_program_nothing_is_waited_for,
    no_wait_asks_nothing_of_docker,
    sigterm_between_two_attempts_ends_the_wait_at_once,
    sigterm_during_a_hanging_attempt_ends_the_wait_at_once,
    process_1_obeys_sigterm_while_it_waits,
    an_unknown_option_is_reported_and_ignored,
    nonsense_numbers_and_a_missing_command_end_with_1,
    strict_shells_do_not_mind,
    registry_credentials_are_copied_for_the_docker_cli_and_stay_writable,
    credentials_that_the_image_brings_stay,
);

pub(crate) fn world(shell: Shell) -> World {
    let world = World::new(shell, &TOOLS);
    for own in ["", "podinfo", "calls"] {
        world.give_to_runner(own);
    }
    world
}

pub(crate) fn start<'a>(world: &'a World, options: &[&str], command: &[&str]) -> Script<'a> {
    let mut args =
        vec![format!("--root={}", world.text("")), format!("--podinfo={}", world.text("podinfo"))];
    args.extend(options.iter().chain(&["--"]).chain(command).map(|&arg| arg.to_owned()));
    world.script(START, START_NAME, &args).by_runner()
}

fn render_nodes_are_listed_by_number(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD1280", "renderD129", "renderD128", "renderD99"]);
    world.nodes(&["card1", "renderD", "renderD130x", "renderDx130", "renderD 130", "renderD*"]);
    world.write(DEVICES, "--device /dev/dri/renderD7\n");
    let end = start(&world, &["--gpus=4", "--group-add=110"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.is_silent();
    assert_eq!(
        world.read(DEVICES),
        "--group-add 110 --device /dev/dri/renderD99 --device /dev/dri/renderD128 \
         --device /dev/dri/renderD129 --device /dev/dri/renderD1280\n"
    );
    assert_eq!(world.mode(DEVICES), 0o644);
    let left: Vec<_> = world.path("podinfo").read_dir().unwrap().collect();
    assert_eq!(left.len(), 2, "no temporary file stays: {left:?}");
}

fn group_add_words_come_first_and_may_be_absent(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    for (options, words) in [
        (&["--gpus=1"][..], ""),
        (&["--group-add=110", "--gpus=1"], "--group-add 110 "),
        (&["--gpus=1", "--group-add=110", "--group-add=44"], "--group-add 110 --group-add 44 "),
    ] {
        assert_eq!(start(&world, options, &RAN).run().code, Some(0));
        assert_eq!(world.read(DEVICES), format!("{words}--device /dev/dri/renderD128\n"));
    }
}

fn consumers_can_read_what_is_written(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "renderD136"]);
    let end = start(&world, &["--gpus=2", "--group-add=110"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    let file: &Path = &world.path(DEVICES);
    let words = [
        "--group-add",
        "110",
        "--device",
        "/dev/dri/renderD128",
        "--device",
        "/dev/dri/renderD136",
    ];
    assert_eq!(bash_words(file), words);
    assert_eq!(
        github_env(file),
        format!("GPU_FLAG=--device=/dev/mem --device=/dev/kfd {}", words.join(" "))
    );
    let pairs: Vec<_> = words.chunks(2).map(|w| (w[0].to_owned(), w[1].to_owned())).collect();
    assert_eq!(shlex_pairs(file), pairs);
    assert_eq!(grep_count(file), 2);
    assert_eq!(vllm_devices(file), ["/dev/dri/renderD128", "/dev/dri/renderD136"]);
    assert_eq!(docker_env_file(&world.path(ISOLATION)), []);
}

fn no_render_node_keeps_the_runner_from_starting(shell: Shell) {
    let world = world(shell);
    world.nodes(&["card1"]);
    world.write(DEVICES, "--device /dev/dri/renderD7\n");
    let end = start(&world, &["--gpus=2", "--group-add=110"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says("2 GPUs requested, 0 usable in /dev/dri, the runner is not started");
    assert!(!world.exists(DEVICES), "an old file is worse than none");
}

fn fewer_nodes_than_gpus_keep_the_runner_from_starting(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let end = start(&world, &["--gpus=2"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says("2 GPUs requested, 1 usable in /dev/dri, the runner is not started");
    assert!(!world.exists(DEVICES));
}

fn more_nodes_than_gpus_are_all_used_with_a_warning(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "renderD129", "renderD130"]);
    let end = start(&world, &["--gpus=2"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.says("2 GPUs requested, all 3 of /dev/dri are used");
    assert_eq!(grep_count(&world.path(DEVICES)), 3);
}

fn a_node_that_cannot_be_opened_is_named_with_its_group_and_ours(shell: Shell) {
    let world = world(shell);
    let gid = world.closed_node("renderD128");
    let end = start(&world, &["--gpus=1", "--group-add=110"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says(&format!("cannot open /dev/dri/renderD128: its group is {gid}, this process is in "));
    if is_root() {
        end.says("this process is in 1001 (see groups in the profile)\n");
    }
    end.says("1 GPUs requested, 0 usable");
    assert!(!world.exists(DEVICES));
}

fn a_node_that_cannot_be_opened_does_not_count(shell: Shell) {
    let world = world(shell);
    world.closed_node("renderD128");
    world.nodes(&["renderD129"]);
    let end = start(&world, &["--gpus=1"], &RAN).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    end.says("cannot open /dev/dri/renderD128");
    assert_eq!(world.read(DEVICES), "--device /dev/dri/renderD129\n");
}

fn a_cpu_runner_gets_no_device_file_and_needs_no_device(shell: Shell) {
    let world = world(shell);
    for devices in [&[][..], &["renderD128"]] {
        world.nodes(devices);
        world.write(DEVICES, "--device /dev/dri/renderD7\n");
        let end = start(&world, &["--gpus=0", "--group-add=110"], &RAN).run();
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
        end.is_silent();
        assert!(!world.exists(DEVICES));
        assert_eq!(world.read(ISOLATION), "");
    }
}

fn isolation_settings_are_always_there_and_empty_unless_asked_for(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    for gpus in ["--gpus=0", "--gpus=1"] {
        world.write(ISOLATION, "ROCR_VISIBLE_DEVICES=\n");
        let end = start(&world, &[gpus], &RAN).run();
        assert_eq!(end.code, Some(0), "{end:#?}");
        assert_eq!((world.read(ISOLATION).as_str(), world.mode(ISOLATION)), ("", 0o644));
    }
}

fn files_are_readable_for_all_under_any_umask(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let end = start(&world, &["--gpus=1"], &RAN)
        .behind(&["sh", "-c", "umask 0077; exec \"$@\"", "sh"])
        .run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!((world.mode(DEVICES), world.mode(ISOLATION)), (0o644, 0o644));
}

fn an_unwritable_podinfo_is_reported_and_the_runner_starts(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    world.chmod("podinfo", 0o555);
    let missing = format!("--podinfo={}", world.text("missing"));
    for options in [&["--gpus=1"][..], &["--gpus=1", &missing]] {
        let end = start(&world, options, &RAN).run();
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
        end.says("/gha-render-devices, jobs that read it will miss it");
        end.says("/gha-gpu-isolation-settings, jobs that read it will miss it");
    }
    world.chmod("podinfo", 0o755);
}

fn registry_credentials_are_copied_for_the_docker_cli_and_stay_writable(shell: Shell) {
    let world = world(shell);
    world.write("secret.json", "{\"auths\":{}}\n");
    let login = format!("--docker-config={}", world.text("secret.json"));
    let end = start(&world, &[&login], &RAN).env("HOME", &world.text("home")).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    assert_eq!(world.read("home/.docker/config.json"), "{\"auths\":{}}\n");
    assert_eq!(world.mode("home/.docker/config.json"), 0o600);
    let elsewhere = world.text("elsewhere");
    start(&world, &[&login], &RAN).env("DOCKER_CONFIG", &elsewhere).run();
    assert_eq!(world.read("elsewhere/config.json"), "{\"auths\":{}}\n");
}

fn credentials_that_the_image_brings_stay(shell: Shell) {
    let world = world(shell);
    world.write("secret.json", "new");
    world.write("config.json", "old");
    let login = format!("--docker-config={}", world.text("secret.json"));
    let folder = world.text("");
    let end =
        start(&world, &[&login], &RAN).env("DOCKER_CONFIG", folder.trim_end_matches('/')).run();
    assert_eq!((end.code, world.read("config.json").as_str()), (Some(0), "old"), "{end:#?}");
    let missing = format!("--docker-config={}", world.text("no-such-file"));
    let end = start(&world, &[&missing], &RAN).env("HOME", &world.text("home")).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.says("docker is not logged in");
    assert!(!world.exists("home/.docker/config.json"), "an empty file would break the docker CLI");
}

fn the_exit_code_is_the_commands_own(shell: Shell) {
    let world = world(shell);
    for code in [0, 1, 7, 42] {
        let end = start(&world, &[], &["sh", "-c", &format!("exit {code}")]).run();
        assert_eq!(end.code, Some(code), "{end:#?}");
    }
    let end = start(&world, &[], &["sh", "-c", "kill -s KILL $$"]).run();
    assert_eq!((end.code, end.signal), (None, Some(9)), "{end:#?}");
    let end = start(&world, &[], &["no-such-program"]).run();
    assert_eq!(end.code, Some(127), "{end:#?}");
}

fn arguments_survive_unchanged(shell: Shell) {
    let world = world(shell);
    let odd =
        ["", "two words", "a\nline\n", "'\"$(id)`id`\\", "*", "--", "--gpus=9", "-n", "\u{e9}\t"];
    let mut command = vec!["sh", "-c", r#"for a; do printf '<%s>' "$a"; done"#, "sh"];
    command.extend(odd);
    let end = start(&world, &["--gpus=0"], &command).run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(end.stdout, format!("<{}>", odd.join("><")));
}

fn stdin_is_the_commands_own(shell: Shell) {
    let world = world(shell);
    world.program(
        "docker",
        "cat >/dev/null; [ -e \"$WORLD/ready\" ] && exit; : >\"$WORLD/ready\"; exit 1",
    );
    let end = start(&world, &["--wait-for-docker=3"], &["cat"]).stdin("one\ntwo").run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "one\ntwo"), "{end:#?}");
}

fn the_environment_is_neither_read_nor_changed(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "renderD129"]);
    world.program("docker", READY_AT_SECOND_CALL);
    world.program("date", STANDS_STILL);
    world.program("sleep", "");
    // Names that a careless script would use, and what shells themselves listen to.
    let vars = [
        ("gpus", "9"),
        ("minor", "x"),
        ("node", "x"),
        ("found", "x"),
        ("waited", "x"),
        ("error", "x"),
        ("option", "x"),
        ("podinfo", "/nowhere"),
        ("root", "/nowhere"),
        ("flags", "--privileged"),
        ("IFS", "/-12"),
        ("POSIXLY_CORRECT", "1"),
        ("LC_ALL", "C"),
        ("CDPATH", "/"),
        ("GLOBIGNORE", "*"),
        ("ENV", "/nowhere"),
        ("ROCR_VISIBLE_DEVICES", "0"),
    ];
    let mut script = start(&world, &["--gpus=2", "--wait-for-docker=30"], &["env"]);
    for (name, value) in vars {
        script = script.env(name, value);
    }
    let end = script.run();
    assert_eq!(end.code, Some(0), "{end:#?}");
    assert_eq!(end.stderr, "arc-rocm: waiting for docker (0 of 30 s)\n");
    assert_eq!(world.read(DEVICES), "--device /dev/dri/renderD128 --device /dev/dri/renderD129\n");
    for (name, value) in vars {
        // Shells make their own IFS and pass none on.
        let kept = end.stdout.lines().any(|line| line == format!("{name}={value}"));
        assert!(kept || name == "IFS", "{name} is gone or changed: {}", end.stdout);
    }
    assert!(!end.stdout.contains("arc_"), "{}", end.stdout);
}

fn sigterm_reaches_the_command_under_the_scripts_pid(shell: Shell) {
    let world = world(shell);
    world.program("docker", "");
    let command = "trap 'kill $!; echo got TERM; exit 5' TERM; sleep 5 & echo \"pid $$.\"; wait";
    let job = start(&world, &["--wait-for-docker=3"], &["sh", "-c", command]).start();
    world.await_text("stdout", &format!("pid {}.", job.pid()));
    job.terminate();
    let end = job.end();
    assert_eq!(end.code, Some(5), "{end:#?}");
    assert!(end.stdout.ends_with("got TERM\n"), "{end:#?}");
}

fn a_ready_docker_costs_no_time(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    world.program("docker", "echo 'Server Version: 29'; echo 'WARNING: no swap limit' >&2");
    world.program("sleep", "");
    // The quickest of three, for the sake of a busy machine.
    let took = (0..3)
        .map(|_| {
            let end = start(&world, &["--gpus=1", "--wait-for-docker=120"], &RAN).run();
            assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
            end.is_silent();
            end.took
        })
        .min();
    assert!(took < Some(Duration::from_millis(500)), "{took:?}");
    assert_eq!(world.calls(), ["docker info"; 3]);
}

fn docker_is_asked_again_every_fifth_of_a_second_until_it_answers(shell: Shell) {
    let world = world(shell);
    world.program(
        "docker",
        "n=$(cat \"$WORLD/podinfo/n\" 2>/dev/null); echo \"${n}x\" >\"$WORLD/podinfo/n\"; [ \"$n\" = xx ]",
    );
    world.program("date", STANDS_STILL);
    world.program("sleep", "exec \"$WORLD/tools/sleep\" \"$@\"");
    let end = start(&world, &["--wait-for-docker=120"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    let mut calls = world.calls();
    calls.retain(|call| call != "date +%s");
    // No second is wasted: the fraction is slept, and nothing else.
    let expected = ["docker info", "sleep 0.2", "docker info", "sleep 0.2", "docker info"];
    assert_eq!(calls, expected);
    assert!(end.took >= Duration::from_millis(400), "{end:#?}");
    assert_eq!(end.stderr, "arc-rocm: waiting for docker (0 of 120 s)\n");
}

fn the_wait_for_docker_ends_with_dockers_last_words(shell: Shell) {
    let world = world(shell);
    world.program(
        "docker",
        "echo 'Client: 29'; printf 'first\\nCannot connect to it\\n' >&2; exit 7",
    );
    // A wait of a second would give docker no more than one for its words.
    world.program("date", LEAPS);
    let end = start(&world, &["--wait-for-docker=30"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says("docker is not ready after 60 s (Cannot connect to it), the runner is not started");
}

fn the_last_attempt_may_still_succeed(shell: Shell) {
    let world = world(shell);
    world.program("date", LEAPS);
    world.program("docker", &format!("cat >/dev/null; {READY_AT_SECOND_CALL}"));
    let end = start(&world, &["--wait-for-docker=30"], &["cat"]).stdin("mine").run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "mine"), "{end:#?}");
    assert_eq!(world.calls().iter().filter(|call| *call == "docker info").count(), 2);
}

fn a_docker_that_hangs_is_not_waited_for_longer_than_one_that_fails(shell: Shell) {
    let world = world(shell);
    world.program("docker", "exec sleep 60");
    world.program("timeout", "exec \"$WORLD/tools/timeout\" \"$@\"");
    let end = start(&world, &["--wait-for-docker=1"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:#?}");
    end.says("(no answer), the runner is not started");
    // The only attempt within the second, and the last one. docker's own note may come too late.
    let mut calls = world.calls();
    calls.retain(|call| call.starts_with("timeout "));
    assert_eq!(calls, ["timeout 1 docker info"; 2]);
}

fn a_long_wait_says_so_every_few_seconds(shell: Shell) {
    let world = world(shell);
    // A clock that goes 3 s with every look at it.
    world.program("date", "t=$(cat \"$WORLD/podinfo/t\" 2>/dev/null); echo $((t)); echo $((t + 3)) >\"$WORLD/podinfo/t\"");
    world.program("sleep", "");
    world.program("docker", "exit 1");
    let end = start(&world, &["--wait-for-docker=30"], &RAN).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    let waits: Vec<&str> = end
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("arc-rocm: waiting for docker "))
        .collect();
    let seconds = [3, 9, 15, 21, 27];
    assert_eq!(waits, seconds.map(|waited| format!("({waited} of 30 s)")));
    end.says("docker is not ready after 30 s (no answer), the runner is not started");
    assert_eq!(world.calls().iter().filter(|call| *call == "sleep 0.2").count(), 9);
}

fn without_a_docker_program_nothing_is_waited_for(shell: Shell) {
    let world = world(shell);
    let end = start(&world, &["--wait-for-docker=120"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    assert_eq!(end.stderr, "arc-rocm: no docker in PATH, not waiting for it\n");
}

fn no_wait_asks_nothing_of_docker(shell: Shell) {
    let world = world(shell);
    world.program("docker", "exit 1");
    for options in [&["--wait-for-docker=0"][..], &[]] {
        let end = start(&world, options, &RAN).run();
        assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
        end.is_silent();
    }
    assert_eq!(world.calls(), [""; 0]);
}

fn sigterm_between_two_attempts_ends_the_wait_at_once(shell: Shell) {
    let world = world(shell);
    world.program("docker", "exit 1");
    let body = "echo $$ >\"$WORLD/podinfo/pid\"; exec \"$WORLD/tools/sleep\" 60";
    world.program("sleep", body);
    sigterm_ends_the_wait(&world, "sleep 0.2");
}

fn sigterm_during_a_hanging_attempt_ends_the_wait_at_once(shell: Shell) {
    let world = world(shell);
    world.program("docker", "echo $$ >\"$WORLD/podinfo/pid\"; exec sleep 60");
    // Not the script's 5 s: an attempt that outlives the signal has to outlive the test's patience.
    world.program("timeout", "shift; exec \"$WORLD/tools/timeout\" 60 \"$@\"");
    sigterm_ends_the_wait(&world, "docker info");
}

#[track_caller]
fn sigterm_ends_the_wait(world: &World, during: &str) {
    let job = start(world, &["--wait-for-docker=120"], &RAN).start();
    world.await_call(during);
    world.await_text("podinfo/pid", "\n");
    // GNU timeout forgets its child for a moment after the fork.
    world.await_sleep_of_parent("podinfo/pid");
    job.terminate();
    let end = job.end();
    assert_eq!((end.code, end.stdout.as_str()), (Some(143), ""), "{end:#?}");
    world.await_end("podinfo/pid");
}

fn process_1_obeys_sigterm_while_it_waits(shell: Shell) {
    let flags = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL"];
    if !can_unshare(&flags) {
        return;
    }
    let world = world(shell);
    world.program("docker", "exit 1");
    let args = ["--wait-for-docker=120", "--podinfo=/nowhere", "--", "sh", "-c", "echo ran"];
    let job = world
        .script(START, START_NAME, &args.map(str::to_owned))
        .behind(&[&["unshare"][..], &flags].concat())
        .start();
    world.await_text("stderr", "waiting for docker");
    job.terminate_child();
    let end = job.end();
    assert_eq!((end.code, end.stdout.as_str()), (Some(143), ""), "{end:#?}");
}

fn an_unknown_option_is_reported_and_ignored(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128"]);
    let end = start(&world, &["--numa=auto", "--gpus=1", "--fence"], &RAN).run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
    end.says("unknown option --numa=auto, ignored");
    end.says("unknown option --fence, ignored");
    assert_eq!(world.read(DEVICES), "--device /dev/dri/renderD128\n");
}

fn nonsense_numbers_and_a_missing_command_end_with_1(shell: Shell) {
    let world = world(shell);
    for option in
        ["--gpus=", "--gpus=two", "--gpus=-1", "--wait-for-docker=", "--wait-for-docker=2m"]
    {
        let end = start(&world, &[option], &RAN).run();
        assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{option}: {end:#?}");
        end.says("not numbers, the runner is not started");
    }
    let end = start(&world, &["--gpus=0"], &[]).run();
    assert_eq!(end.code, Some(1), "{end:#?}");
    end.says("no command after --");
}

fn strict_shells_do_not_mind(shell: Shell) {
    let world = world(shell);
    world.nodes(&["renderD128", "renderD129"]);
    world.program("docker", READY_AT_SECOND_CALL);
    let strict = format!("set -eu\n{START}");
    let mut args =
        vec![format!("--root={}", world.text("")), format!("--podinfo={}", world.text("podinfo"))];
    args.extend(
        ["--gpus=1", "--wait-for-docker=3", "--", "sh", "-c", "echo ran"].map(str::to_owned),
    );
    let end = world.script(&strict, START_NAME, &args).by_runner().run();
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "ran\n"), "{end:#?}");
}
