//! What a hand-written script does, as far as the scripts of the webhook do the same: a statement that
//! is not known here is reported.

use crate::{
    podspec::paths::canonical,
    profile::template::{EXTERNALS_PATH, PODINFO_PATH},
};

/// A part of a script, with its line from 1.
#[derive(Clone, Copy)]
struct Statement<'t> {
    line: usize,
    text: &'t str,
}

/// Words that begin a statement and are followed by another one.
const KEYWORDS: [&str; 10] =
    ["do ", "then ", "else ", "exec ", "if ", "elif ", "while ", "until ", "! ", "{ "];
/// Statements that end or begin a block, and nothing else.
const BLOCKS: [&str; 8] = ["", "do", "done", "then", "else", "fi", "}", "&"];
/// Commands that only wait, look or end the script.
const IDLE: [&str; 11] =
    ["set", "sleep", "wait", ":", "true", "break", "continue", "exit", "[", "test", "[["];
/// Variables that everything that a script starts sees, without `export` too.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "DOCKER_HOST", "LD_LIBRARY_PATH"];
/// Where Docker listens, keeps its data and belongs to if no flag says so.
const DOCKER_DEFAULTS: [&str; 3] =
    ["--host=unix:///run/docker.sock", "--data-root=/var/lib/docker", "--group=docker"];

/// The variable that the start wrapper itself gives jobs.
pub(crate) const ROCR: &str = "ROCR_VISIBLE_DEVICES=";
/// The runner's own folder.
const HOME: &str = "/home/runner/";
/// The flag of dockerd for the MTU of all bridge networks.
const NETWORKS_MTU: &str = "--default-network-opt=bridge=com.docker.network.driver.mtu=";

/// The statements of a script. Quotes are not read: a `;` in one gives statements that are not known.
fn statements(script: &str) -> impl Iterator<Item = Statement<'_>> {
    let lines = script.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    let parts = lines.flat_map(|(index, line)| {
        let line = line.split_once(" #").map_or(line, |(statement, _)| statement);
        let parts =
            line.split(';').flat_map(|part| part.split("&&")).flat_map(|part| part.split("||"));
        parts.map(move |text| Statement { line: index + 1, text })
    });
    parts.map(|statement| {
        // The end of a script in quotes, such as `timeout 60 sh -c '...; done'`.
        let mut text = statement.text.trim();
        if BLOCKS.contains(&text.trim_end_matches(['\'', '"'])) {
            text = text.trim_end_matches(['\'', '"']);
        }
        while let Some(rest) = KEYWORDS.iter().find_map(|word| text.strip_prefix(word)) {
            text = rest.trim_start();
        }
        Statement { text, ..statement }
    })
}

impl<'t> Statement<'t> {
    fn first(self) -> &'t str {
        self.text.split_whitespace().next().unwrap_or_default()
    }

    /// Whether it does nothing by itself, or only waits and says so.
    fn is_idle(self) -> bool {
        let writes = self.redirects().next().is_some();
        let has_commands =
            self.text.replace("$((", "").contains(['|', '`']) || self.has_substitution();
        let is_counting = self.first() == "for" && (!has_commands || self.text.contains("$(seq "));
        BLOCKS.contains(&self.text)
            || IDLE.contains(&self.first()) && !writes
            || (["echo", "printf"].contains(&self.first()) || self.is_assignment())
                && !writes
                && !has_commands
            || self.text.contains("docker info") && !writes
            || is_counting && !self.text.contains("/dev/")
            || self.text == "cd /home/runner"
            || ["rm", "mkdir"].contains(&self.first())
                && self.text.split_whitespace().skip(1).all(|word| word.starts_with(['-', '/']))
                && self
                    .text
                    .split_whitespace()
                    .all(|word| !word.starts_with('/') || word.starts_with(PODINFO_PATH))
    }

    /// Whether it runs commands in `$(...)`.
    fn has_substitution(self) -> bool {
        self.text.replace("$((", "").contains("$(")
    }

    /// Whether it gives a variable of the script a value, which nothing that it starts sees.
    fn is_assignment(self) -> bool {
        let Some((name, value)) = self.text.split_once('=') else { return false };
        let name = name.trim_end_matches('+');
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let pairs = [("\"", "\""), ("'", "'"), ("$(", ")"), ("(", ")")];
        let is_quoted = pairs.iter().any(|(start, end)| {
            let inner = value.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
            inner.is_some_and(|inner| end == &")" || !inner.contains(end))
        });
        is_name
            && !ENVIRONMENT.contains(&name)
            && (is_quoted || !value.contains(char::is_whitespace))
            && !self.has_flags(true)
    }

    /// Whether it has flags for `docker run` that the start wrapper does not write. With `is_text`, those
    /// of one letter too.
    fn has_flags(self, is_text: bool) -> bool {
        let is_flag = |word: &str| {
            word.starts_with("--") && word != "--"
                || is_text && word.starts_with('-') && word != "-n" && word != "--"
        };
        let trim =
            |word: &'t str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let mut words =
            self.text.split(|c: char| c.is_whitespace() || "=\"'".contains(c)).map(trim);
        words.any(|word| is_flag(word) && !["--device", "--group-add"].contains(&word))
    }

    /// The files that it writes.
    fn redirects(self) -> impl Iterator<Item = &'t str> {
        let targets = self.text.split('>').skip(1).map(str::trim_start);
        let targets = targets.map(|rest| rest.split_whitespace().next().unwrap_or_default());
        targets.filter(|file| !file.is_empty() && !file.starts_with('&') && *file != "/dev/null")
    }

    /// The text that it writes into the env-file for jobs.
    fn env_line(self) -> Option<&'t str> {
        let (text, file) = self.text.split_once('>')?;
        let is_it = file.trim_matches(['>', ' ', '"']).ends_with("/gha-gpu-isolation-settings");
        text.strip_prefix("echo")
            .filter(|_| is_it)
            .map(|text| text.trim().trim_matches(['"', '\'']))
    }

    /// Whether it is a command of plain words, which runs without a shell as well.
    fn is_command(self) -> bool {
        const SHELL: &str = "|&<>$`;()*?[]{}~\"'\\#";
        !self.text.contains(|c: char| SHELL.contains(c)) && !self.first().contains('=')
    }

    /// Whether it logs in to a registry.
    fn is_login(self) -> bool {
        self.text.contains("docker login") && self.redirects().next().is_none()
    }

    /// Whether it is about the file with the render devices and what goes into it.
    fn lists_devices(self) -> bool {
        const COMMANDS: [&str; 7] = ["ls", "for", "echo", "printf", "find", "mkdir", "["];
        let is_known = COMMANDS.contains(&self.first()) || self.first().contains('=');
        let text = self.text.to_ascii_lowercase();
        let is_about = ["/dev/dri", "/dev/kfd", "render", "device", "/etc/podinfo"];
        // The flags of `ls` and others are short; a text for `docker run` may have such too.
        let is_text = !self.text.contains(['|', '`', '('])
            && !["ls", "find", "mkdir", "["].contains(&self.first());
        is_known
            && is_about.iter().any(|word| text.contains(word))
            && self.redirects().all(|file| file.trim_matches('"').ends_with("/gha-render-devices"))
            && !["curl", "docker"].iter().any(|word| text.contains(word))
            // Other devices than render nodes, or only some of them.
            && !["card", "head", "tail"].iter().any(|word| text.contains(word))
            && !self.has_flags(is_text)
    }
}

/// The groups of `--group-add GID` in a text.
fn groups(text: &str) -> impl Iterator<Item = &str> {
    text.split("--group-add").skip(1).filter_map(|rest| {
        rest.trim_start_matches([' ', '=']).split(|c: char| !c.is_ascii_alphanumeric()).next()
    })
}

/// What a hand-written start script does.
#[derive(Debug, Default)]
pub(crate) struct StartScript<'t> {
    /// The last command, which runs the runner.
    pub(crate) runs: Option<&'t str>,
    /// Its line, from 1.
    pub(crate) runs_at: usize,
    /// The lines that it writes into the env-file for jobs.
    pub(crate) env: Vec<(usize, &'t str)>,
    /// The groups that it gives the containers of jobs.
    pub(crate) groups: Vec<&'t str>,
    /// Whether it lists the render devices.
    pub(crate) lists_devices: bool,
    /// The lines of `docker login`.
    pub(crate) logins: Vec<usize>,
    /// The lines that do anything else.
    pub(crate) others: Vec<usize>,
}

impl<'t> StartScript<'t> {
    /// Reads a script.
    pub(crate) fn read(script: &'t str) -> Self {
        let mut read = Self { groups: groups(script).collect(), ..Self::default() };
        for statement in statements(script) {
            let Statement { line, text } = statement;
            if read.runs.is_some() && BLOCKS.contains(&text) {
                continue;
            }
            if let Some(env) = statement.env_line() {
                read.env.push((line, env));
            } else if statement.is_login() {
                read.logins.push(line);
            } else if statement.lists_devices() {
                read.lists_devices = true;
            } else if !statement.is_idle() && statement.is_command() {
                read.others.extend(read.runs.replace(text).map(|_| read.runs_at));
                read.runs_at = line;
                continue;
            } else if !statement.is_idle() {
                read.others.push(line);
            }
            // What comes after the runner has ended, such as another exit code.
            if read.runs.take().is_some() {
                read.others.push(read.runs_at);
            }
        }
        let is_last = |line: &&str| line.contains(read.runs.unwrap_or_default());
        let line = script.lines().nth(read.runs_at.saturating_sub(1)).filter(is_last);
        if read.runs.is_some() && line.is_some_and(|line| line.contains("||")) {
            read.runs = None;
            read.others.push(read.runs_at);
        }
        read.others.sort_unstable();
        read.others.dedup();
        read
    }

    /// Whether it ends with `command`. GitHub's image starts in the runner's own folder.
    fn runs(&self, command: &str) -> bool {
        let is_local = |text: &str| text.strip_prefix("./").map(|name| format!("{HOME}{name}"));
        self.runs.is_some_and(|text| text == command || is_local(text).as_deref() == Some(command))
    }
}

/// Whether the start wrapper with these options, before `command`, does all that `script` does. The
/// error says what it does not.
pub(super) fn start_does(script: &str, options: &[&str], command: &[&str]) -> Result<(), String> {
    let mut read = StartScript::read(script);
    let other_line =
        |line: usize| Err(format!("line {line} of the script is not what the start wrapper does"));
    let has_login = options.iter().any(|option| option.starts_with("--docker-config="));
    let mut env: Vec<&str> =
        options.iter().filter_map(|option| option.strip_prefix("--env=")).collect();
    if options.contains(&"--rocr") {
        read.env.retain(|(_, line)| !line.starts_with(ROCR));
    }
    read.env.retain(|(_, line)| match env.iter().position(|one| one == line) {
        Some(place) => {
            env.remove(place);
            false
        }
        None => true,
    });
    let env_lines = read.env.iter().map(|(line, _)| *line);
    let logins = read.logins.iter().copied().filter(|_| !has_login);
    if let Some(line) = read.others.iter().copied().chain(env_lines).chain(logins).min() {
        return other_line(line);
    }
    if !read.runs(&command.join(" ")) {
        return Err("the script runs another command than the start wrapper".to_owned());
    }
    if let Some((name, _)) = env.first().and_then(|line| line.split_once('=')) {
        return Err(format!("the start wrapper gives jobs {name}, the script does not"));
    }
    let given: Vec<&str> = options.iter().flat_map(|option| groups(option)).collect();
    let is_given = |group: &&str| given.contains(group) || given.contains(&"nodes");
    let other = read.groups.iter().find(|group| !is_given(group));
    other.map_or(Ok(()), |group| {
        Err(format!("the script gives jobs --group-add {group}, the start wrapper does not"))
    })
}

/// The script of `sh -c SCRIPT`, if a command line is that.
pub(crate) fn script<'w>(words: &[&'w str]) -> Option<&'w str> {
    match words {
        [shell, flag, script, ..] if shell.ends_with("sh") && flag.ends_with('c') => Some(script),
        _ => None,
    }
}

/// dockerd's flags in one form, without those that are Docker's defaults, in a hand-written command line
/// or script that does nothing but start it and wait. `value` gives a variable's value.
///
/// # Errors
///
/// The first line that does anything else, from 1.
pub(crate) fn dockerd_flags<'v>(
    words: &[&str],
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<Vec<String>, usize> {
    let script = script(words).map_or_else(|| words.join(" "), str::to_owned);
    let script = script.replace("\\\n", " ");
    let mut flags: Vec<&str> = Vec::new();
    // dockerd makes its own data root.
    let mut made: Option<(usize, Vec<&str>)> = None;
    for statement in statements(&script) {
        let mut words = statement.text.split_whitespace().peekable();
        words.next_if(|word| word.ends_with("dockerd-entrypoint.sh"));
        if words.next_if(|word| *word == "dockerd").is_some() {
            flags = words.take_while(|word| !word.starts_with(['&', '>', '2', '|'])).collect();
            continue;
        }
        if statement.first() == "mkdir" {
            made = Some((
                statement.line,
                words.skip(1).filter(|word| !word.starts_with('-')).collect(),
            ));
            continue;
        }
        let is_known = statement.is_idle()
            || words.peek().is_none()
            || statement.first() == "tail" && statement.text.ends_with("/dev/null")
            || statement.first() == "rm" && statement.text.ends_with("docker.pid");
        if !is_known {
            return Err(statement.line);
        }
    }
    let flags = normal(&flags, &value);
    let root = flags.iter().find_map(|flag| flag.strip_prefix("--data-root="));
    let is_root = |path: &&str| root.is_some_and(|root| root.starts_with(*path));
    match made {
        Some((line, paths)) if !paths.iter().all(is_root) => Err(line),
        _ => Ok(flags),
    }
}

/// Whether a command only copies the runner's externals.
pub(crate) fn copies_externals(words: &[&str]) -> bool {
    let command = script(words).map_or_else(|| words.join(" "), str::to_owned);
    let mut copies = false;
    let is_known = |statement: Statement<'_>| {
        copies |= statement.first() == "cp" && statement.text.contains(EXTERNALS_PATH);
        statement.is_idle()
            || ["cp", "mkdir"].contains(&statement.first())
                && statement
                    .text
                    .split_whitespace()
                    .skip(1)
                    .all(|word| word.starts_with('-') || word.starts_with("/home/runner/"))
    };
    statements(&command).all(is_known) && copies
}

/// Whether a command only ends what dockerd runs, and empties its data root.
pub(crate) fn empties(words: &[&str], root: &str) -> bool {
    let command = script(words).map_or_else(|| words.join(" "), str::to_owned);
    let mut removes = false;
    let is_known = |statement: Statement<'_>| {
        let mut words = statement.text.split_whitespace();
        match (words.next(), words.next()) {
            (Some("rm"), _) => {
                removes = true;
                let mut paths =
                    statement.text.split_whitespace().skip(1).filter(|word| !word.starts_with('-'));
                paths.all(|path| path.trim_matches(['"', '\'']).starts_with(root))
            }
            (Some("docker"), Some("kill" | "stop" | "rm" | "ps")) => true,
            _ => statement.is_idle(),
        }
    };
    statements(&command).all(is_known) && removes
}

/// Whether dockerd has the flags `wanted` in a hand-written command line or script. `value` gives a
/// variable's value.
pub(super) fn dockerd_is<'v>(
    words: &[&str],
    wanted: &[&str],
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<(), String> {
    let there = dockerd_flags(words, &value)
        .map_err(|line| format!("line {line} of the script is not what dind does"))?;
    let mut wanted = normal(wanted, &value);
    let has_group = |flags: &[String]| flags.iter().any(|flag| flag.starts_with("--group="));
    // A socket that a group may use as well takes nothing from anybody.
    if !has_group(&there) {
        wanted.retain(|flag| !flag.starts_with("--group="));
    }
    let more = there.iter().filter(|flag| !wanted.contains(flag));
    let less = wanted.iter().filter(|flag| !there.contains(flag));
    let mut names: Vec<&str> =
        more.chain(less).map(|flag| flag.split('=').next().unwrap_or_default()).collect();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    Err(format!("flags of dockerd differ: {}", names.join(" ")))
}

/// Flags of dockerd in one form, without those that are Docker's defaults.
fn normal<'v>(flags: &[&str], value: &impl Fn(&str) -> Option<&'v str>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for flag in flags {
        let flag = flag.trim_matches(['"', '\'']);
        match joined.last_mut() {
            // `--group 123`
            Some(last) if !flag.starts_with('-') && !last.contains('=') => last.extend(["=", flag]),
            _ => joined.push(flag.to_owned()),
        }
    }
    for flag in &mut joined {
        let Some((name, text)) = flag.split_once('=') else { continue };
        let name = match name {
            "-H" => "--host",
            "-G" => "--group",
            name => name,
        };
        let text = text.trim_matches(['"', '\'']);
        let variable = text.strip_prefix('$').map(|name| name.trim_matches(['{', '}', '(', ')']));
        let text = variable.and_then(value).unwrap_or(text);
        let text = text
            .strip_prefix("unix://")
            .map_or_else(|| text.to_owned(), |path| format!("unix://{}", canonical(path)));
        *flag = format!("{name}={text}");
    }
    joined.retain(|flag| !DOCKER_DEFAULTS.contains(&flag.as_str()));
    // `dind.mtu` gives networks that jobs create the MTU of docker0.
    let mtu = joined.iter().find_map(|flag| flag.strip_prefix("--mtu="));
    if let Some(of_networks) = mtu.map(|mtu| format!("{NETWORKS_MTU}{mtu}")) {
        joined.retain(|flag| *flag != of_networks);
    }
    joined.sort();
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = r#"devices=$(ls -la /dev/dri/ | grep renderD | awk '{print $10}')
GHA_RENDER_DEVICES="--group-add 110"
for device in $devices; do
  GHA_RENDER_DEVICES="${GHA_RENDER_DEVICES} --device /dev/dri/${device}"
done
echo "${GHA_RENDER_DEVICES}" > /etc/podinfo/gha-render-devices
# Wait for Docker to be ready before starting runner
echo "Waiting for docker..."
until docker info >/dev/null 2>&1; do sleep 5; done
/home/runner/run.sh
"#;
    const OPTIONS: [&str; 2] = ["--gpus=2", "--group-add=110"];

    fn start(script: &str) -> Result<(), String> {
        start_does(script, &OPTIONS, &["/home/runner/run.sh"])
    }

    #[test]
    fn start_script_of_the_seed_is_what_the_wrapper_does() {
        assert_eq!(start(SEED), Ok(()));
        assert_eq!(start(&SEED.replace("/home/runner/run.sh", "exec /home/runner/run.sh")), Ok(()));
        let one_line = "ls -la /dev/dri > /etc/podinfo/gha-render-devices; until docker info; do \
                        sleep 5; done; /home/runner/run.sh";
        let optional = SEED.replace("devices=", "if [ -e /dev/kfd ]; then\ndevices=");
        assert_eq!(start(&optional.replace("# Wait", "fi\n# Wait")), Ok(()));
        assert_eq!(start(one_line), Ok(()));
    }

    #[test]
    fn start_script_gives_jobs_the_variables_of_the_wrapper() {
        let more = "echo \"HSA_X=1\" >> /etc/podinfo/gha-gpu-isolation-settings\n";
        let start = |script: &str, options: &[&str]| {
            let options = [&OPTIONS, options].concat();
            start_does(script, &options, &["/home/runner/run.sh"])
        };
        let with_more = format!("{more}{SEED}");
        assert_eq!(start(&with_more, &["--env=HSA_X=1"]), Ok(()));
        assert!(start(&with_more, &["--env=HSA_X=2"]).unwrap_err().starts_with("line 1 of"));
        assert!(start(SEED, &["--env=HSA_X=1"]).unwrap_err().contains("gives jobs HSA_X"));
    }

    /// Wordings of public fleets: other ways to list, to count, to wait and to give up.
    #[test]
    fn start_script_in_other_words_is_recognized() {
        for script in [
            "set -euo pipefail\nfind /dev/dri -name 'renderD*' -printf '--device %p ' > /etc/podinfo/gha-render-devices\n\
             if [ ! -s /etc/podinfo/gha-render-devices ]; then\n  echo \"none\" >&2\n  exit 1\nfi\n\
             for try in $(seq 60); do\n  docker info >/dev/null 2>&1 && break\n  \
             [ \"$try\" -lt 60 ] || { echo \"no Docker\" >&2; exit 1; }\n  sleep 2\ndone\nexec /home/runner/run.sh",
            "rm -f /etc/podinfo/*\nfor d in `ls /dev/dri | grep renderD`; do\n  printf ' --device /dev/dri/%s' $d >> \
             /etc/podinfo/gha-render-devices\ndone\nuntil [ -S /var/run/docker.sock ]; do sleep 1; done   # up\n\
             /home/runner/run.sh",
            "D=''; for r in $(ls /dev/dri | grep ^render); do D=\"$D --device=/dev/dri/$r\"; done; echo $D > \
             /etc/podinfo/gha-render-devices; while ! docker info >/dev/null 2>&1; do sleep 1; done; cd /home/runner && \
             ./run.sh",
            "nodes=( /dev/dri/renderD* )\nprintf -- '--device %s ' \"${nodes[@]}\" > /etc/podinfo/gha-render-devices\n\
             n=0\nuntil docker info >/dev/null 2>&1; do\n  n=$((n + 1))\n  if [ $n -gt 60 ]; then exit 1; fi\ndone\n\
             /home/runner/run.sh",
            "timeout 120 sh -c 'until docker info >/dev/null 2>&1; do sleep 2; done' || exit 1\nexec /home/runner/run.sh",
        ] {
            assert_eq!(start(script), Ok(()), "{script}");
        }
        let visible =
            "echo \"ROCR_VISIBLE_DEVICES=$visible\" > /etc/podinfo/gha-gpu-isolation-settings\n";
        let with = |options: &[&str], more: &str| {
            start_does(&format!("{more}{SEED}"), options, &["/home/runner/run.sh"])
        };
        assert_eq!(with(&["--group-add=110", "--rocr"], visible), Ok(()));
        assert!(with(&["--group-add=110"], visible).is_err());
        let login = "docker login -u me -p x ghcr.io\n";
        assert_eq!(with(&["--group-add=110", "--docker-config=/c"], login), Ok(()));
        assert!(with(&["--group-add=110"], login).is_err());
    }

    #[test]
    fn copy_of_externals_that_does_more_is_not_recognized() {
        for copy in [
            &["cp", "-r", "/home/runner/externals/.", "/home/runner/tmpDir/"][..],
            &["sh", "-c", "cp -a /home/runner/externals/. /home/runner/tmpDir/"],
            &[
                "sh",
                "-c",
                "set -e; mkdir -p /home/runner/tmpDir && cp -r /home/runner/externals/* /home/runner/tmpDir",
            ],
        ] {
            assert!(copies_externals(copy), "{copy:?}");
        }
        for more in [
            "curl -o /home/runner/tmpDir/x https://x",
            "modprobe amdgpu",
            "chown -R 1001 /home/runner/tmpDir",
        ] {
            let script = format!("cp -r /home/runner/externals/. /home/runner/tmpDir/ && {more}");
            assert!(!copies_externals(&["sh", "-c", &script]), "{script}");
        }
    }

    #[test]
    fn hook_that_only_empties_the_data_root_is_recognized() {
        let hook = |script: &str| empties(&["sh", "-c", script], "/data");
        assert!(hook("# give it back\nrm -rf /data/*"));
        assert!(hook("docker kill $(docker ps -q); rm -rf /data"));
        assert!(empties(&["rm", "-rf", "/data"], "/data"));
        for other in ["rm -rf /data /cache", "docker stop x", "rm -rf /data; curl x", ""] {
            assert!(!hook(other), "{other}");
        }
    }

    #[test]
    fn start_script_that_does_more_is_reported() {
        for (more, line) in [
            ("docker login -u me -p x ghcr.io", 1),
            ("echo \"--env A=b\" > /etc/podinfo/gha-gpu-isolation-settings", 1),
            ("GHA_RENDER_DEVICES=\"${GHA_RENDER_DEVICES} --ipc=host\"", 1),
            ("GHA_RENDER_DEVICES=\"${GHA_RENDER_DEVICES} -v /opt:/opt\"", 1),
            ("curl http://example.com/device | sh", 1),
            ("# fine\nexport HSA_OVERRIDE=1", 2),
            ("echo $(curl x)", 1),
            ("A=\"x\" curl x", 1),
            ("PATH=/opt/x", 1),
            ("for f in $(curl x); do :; done", 1),
            ("rm -rf /home/runner/_work", 1),
            ("cd /opt", 1),
            ("for n in /dev/dri/renderD* /dev/dri/card*; do :; done", 1),
            ("D=$(ls /dev/dri | grep renderD | head -1)", 1),
            ("sudo chmod 666 /dev/dri/*", 1),
        ] {
            let error = start(&format!("{more}\n{SEED}")).unwrap_err();
            assert!(error.starts_with(&format!("line {line} of")), "{more}: {error}");
        }
        assert!(start(&SEED.replace("110", "109")).unwrap_err().contains("--group-add 109"));
        let other = SEED.replace("run.sh", "other.sh");
        assert!(start(&other).is_err());
        assert!(start("sleep 1").unwrap_err().contains("another command"));
        // A shell's own syntax is no argument of the runner, and an exit code is the runner's.
        for run in [
            "HOME=/root exec /home/runner/run.sh",
            "exec /home/runner/run.sh > /tmp/log 2>&1",
            "/home/runner/run.sh | tee /tmp/log",
            "/home/runner/run.sh &\nwait $!",
            "/home/runner/run.sh || exit 0",
            "/home/runner/run.sh; exit 0",
            "/home/runner/run.sh\necho done",
            "/home/runner/run.sh $ARGS",
        ] {
            assert!(start(&SEED.replace("/home/runner/run.sh", run)).is_err(), "{run}");
        }
    }

    const WANTED: [&str; 3] =
        ["--host=unix:///var/run/docker.sock", "--group=$(GID)", "--data-root=/data"];

    fn dockerd(words: &[&str]) -> Result<(), String> {
        dockerd_is(words, &WANTED, |name| (name == "GID").then_some("123"))
    }

    #[test]
    fn dockerd_with_the_same_flags_is_recognized() {
        let waits = "until docker info >/dev/null 2>&1; do sleep 5; done\ntail -f /dev/null\n";
        for line in [
            "dockerd --host=unix:///var/run/docker.sock --group=${GID} --data-root=/data &",
            "rm -f /var/run/docker.pid\ndockerd --group=$GID --data-root=/data &",
            "timeout 60 sh -c 'until docker info; do sleep 1; done'\ndockerd -G 123 --data-root /data &",
            "exec dockerd --group 123 \\\n  --data-root /data >/dev/null 2>&1 &",
            "dockerd-entrypoint.sh dockerd -H unix:///run/docker.sock -G 123 --data-root=/data &",
        ] {
            assert_eq!(dockerd(&["sh", "-c", &format!("{line}\n{waits}")]), Ok(()), "{line}");
        }
        assert_eq!(dockerd(&["dockerd", "--group=123", "--data-root=/data"]), Ok(()));
        let with = |mtu: u32| {
            let networks = format!("{NETWORKS_MTU}{mtu}");
            dockerd_is(&["dockerd", "--mtu=1400"], &["--mtu=1400", &networks], |_| None)
        };
        assert_eq!((with(1400), with(1300).is_err()), (Ok(()), true));
    }

    #[test]
    fn dockerd_with_other_flags_is_reported() {
        let more = dockerd(&["dockerd", "--group=123", "--data-root=/data", "--mtu=1400"]);
        assert_eq!(more, Err("flags of dockerd differ: --mtu".to_owned()));
        let other = dockerd(&["dockerd", "--group=124", "--data-root=/data"]);
        assert_eq!(other, Err("flags of dockerd differ: --group".to_owned()));
        assert!(dockerd(&[]).unwrap_err().contains("--data-root"));
        let made = "mkdir -p /data\nexec dockerd --group=123 --data-root=/data";
        assert_eq!(dockerd(&["sh", "-c", made]), Ok(()));
        let script = "mkdir -p /other\ndockerd --group=123 --data-root=/data";
        assert!(dockerd(&["sh", "-c", script]).unwrap_err().starts_with("line 1 of"));
        let script = "modprobe fuse\ndockerd --group=123 --data-root=/data";
        assert!(dockerd(&["sh", "-c", script]).unwrap_err().starts_with("line 1 of"));
    }
}
