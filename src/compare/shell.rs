//! What a hand-written script does, as far as the scripts of the webhook do the same: a statement that
//! is not known here is reported.

use crate::podspec::paths::canonical;

/// A part of a script, with its line from 1.
#[derive(Clone, Copy)]
struct Statement<'t> {
    line: usize,
    text: &'t str,
}

/// Words that begin a statement and are followed by another one.
const KEYWORDS: [&str; 5] = ["do ", "then ", "else ", "exec ", "if "];
/// Statements that end or begin a block, and nothing else.
const BLOCKS: [&str; 7] = ["", "do", "done", "then", "else", "fi", "&"];
/// Where Docker listens, keeps its data and belongs to if no flag says so.
const DOCKER_DEFAULTS: [&str; 3] =
    ["--host=unix:///run/docker.sock", "--data-root=/var/lib/docker", "--group=docker"];

/// The flag of dockerd for the MTU of all bridge networks.
const NETWORKS_MTU: &str = "--default-network-opt=bridge=com.docker.network.driver.mtu=";

/// The statements of a script. Quotes are not read: a `;` in one gives statements that are not known.
fn statements(script: &str) -> impl Iterator<Item = Statement<'_>> {
    let lines = script.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    let parts = lines.flat_map(|(index, line)| {
        let parts = line.split(';').flat_map(|part| part.split("&&"));
        parts.map(move |text| Statement { line: index + 1, text })
    });
    parts.map(|statement| {
        // The end of a script in quotes, such as `timeout 60 sh -c '...; done'`.
        let mut text = statement.text.trim().trim_end_matches(['\'', '"']);
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
        BLOCKS.contains(&self.text)
            || ["set", "sleep", "wait", ":"].contains(&self.first()) && !writes
            || self.first() == "echo" && !writes && !self.text.contains(['|', '`', '('])
            || self.text.contains("docker info") && !self.text.contains("||") && !writes
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

    /// Whether it is about the file with the render devices and what goes into it.
    fn lists_devices(self) -> bool {
        const COMMANDS: [&str; 7] = ["ls", "for", "echo", "printf", "find", "mkdir", "["];
        let is_known = COMMANDS.contains(&self.first()) || self.first().contains('=');
        let text = self.text.to_ascii_lowercase();
        let is_about = ["/dev/dri", "/dev/kfd", "render", "device", "/etc/podinfo"];
        // The flags of `ls` and others are short; a text for `docker run` may have such too.
        let is_text = !self.text.contains(['|', '`', '('])
            && !["ls", "find", "mkdir", "["].contains(&self.first());
        let is_flag =
            |word: &str| word.starts_with("--") || is_text && word.starts_with('-') && word != "-n";
        let trim =
            |word: &'t str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let mut words =
            self.text.split(|c: char| c.is_whitespace() || "=\"'".contains(c)).map(trim);
        is_known
            && is_about.iter().any(|word| text.contains(word))
            && self.redirects().all(|file| file.trim_matches('"').ends_with("/gha-render-devices"))
            && !["curl", "docker"].iter().any(|word| text.contains(word))
            && words.all(|word| !is_flag(word) || ["--device", "--group-add"].contains(&word))
    }
}

/// The groups of `--group-add GID` in a text.
fn groups(text: &str) -> impl Iterator<Item = &str> {
    text.split("--group-add").skip(1).filter_map(|rest| {
        rest.trim_start_matches([' ', '=']).split(|c: char| !c.is_ascii_alphanumeric()).next()
    })
}

/// Whether the start wrapper with these options, before `command`, does all that `script` does. The
/// error says what it does not.
pub(super) fn start_does(script: &str, options: &[&str], command: &[&str]) -> Result<(), String> {
    let command = command.join(" ");
    let mut runs = false;
    let mut env: Vec<&str> =
        options.iter().filter_map(|option| option.strip_prefix("--env=")).collect();
    for statement in statements(script) {
        if statement.text == command {
            runs = true;
        } else if let Some(place) = env.iter().position(|line| statement.env_line() == Some(line)) {
            env.remove(place);
        } else if !statement.is_idle() && !statement.lists_devices() {
            return Err(format!(
                "line {} of the script is not what the start wrapper does",
                statement.line
            ));
        }
    }
    if !runs {
        return Err("the script runs another command than the start wrapper".to_owned());
    }
    if let Some((name, _)) = env.first().and_then(|line| line.split_once('=')) {
        return Err(format!("the start wrapper gives jobs {name}, the script does not"));
    }
    let given: Vec<&str> = options.iter().flat_map(|option| groups(option)).collect();
    let other = groups(script).find(|group| !given.contains(group) && !given.contains(&"nodes"));
    other.map_or(Ok(()), |group| {
        Err(format!("the script gives jobs --group-add {group}, the start wrapper does not"))
    })
}

/// Whether dockerd has the flags `wanted` in a hand-written command line or script, which does nothing
/// but start it and wait. `value` gives a variable's value.
pub(super) fn dockerd_is<'v>(
    words: &[&str],
    wanted: &[&str],
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<(), String> {
    let script = match words {
        [shell, flag, script, ..] if shell.ends_with("sh") && flag.ends_with('c') => {
            (*script).to_owned()
        }
        words => words.join(" "),
    };
    let script = script.replace("\\\n", " ");
    let mut flags: Vec<&str> = Vec::new();
    for statement in statements(&script) {
        let mut words = statement.text.split_whitespace().peekable();
        words.next_if(|word| word.ends_with("dockerd-entrypoint.sh"));
        if words.next_if(|word| *word == "dockerd").is_some() {
            flags = words.take_while(|word| !word.starts_with(['&', '>', '2', '|'])).collect();
            continue;
        }
        let is_known = statement.is_idle()
            || words.peek().is_none()
            || statement.first() == "tail" && statement.text.ends_with("/dev/null")
            || statement.first() == "rm" && statement.text.ends_with("docker.pid");
        if !is_known {
            return Err(format!("line {} of the script is not what dind does", statement.line));
        }
    }
    let (there, wanted) = (normal(&flags, &value), normal(wanted, &value));
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
            ("sudo chmod 666 /dev/dri/*", 1),
        ] {
            let error = start(&format!("{more}\n{SEED}")).unwrap_err();
            assert!(error.starts_with(&format!("line {line} of")), "{more}: {error}");
        }
        assert!(start(&SEED.replace("110", "109")).unwrap_err().contains("--group-add 109"));
        let other = SEED.replace("run.sh", "other.sh");
        assert!(start(&other).is_err());
        assert!(start("sleep 1").unwrap_err().contains("another command"));
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
        let script = "modprobe fuse\ndockerd --group=123 --data-root=/data";
        assert!(dockerd(&["sh", "-c", script]).unwrap_err().starts_with("line 1 of"));
    }
}
