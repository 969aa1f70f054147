//! `arc-rocm doctor` finds its cluster as kubectl does: kubeconfig files and proxies.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    sync::mpsc::{Receiver, channel},
    thread,
};

use tempfile::TempDir;

use super::{Ran, run_with};

/// The environment has no proxy but the test's.
const CLEAN: [(&str, &str); 6] = [
    ("HTTPS_PROXY", ""),
    ("https_proxy", ""),
    ("HTTP_PROXY", ""),
    ("http_proxy", ""),
    ("NO_PROXY", ""),
    ("no_proxy", ""),
];

/// An HTTP proxy that refuses every request: its address, and the first line of each.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, lines) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
            if sender.send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    (address, lines)
}

fn kubeconfig(folder: &TempDir, cluster: &str) -> String {
    let path = folder.path().join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn doctor(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    run_with(&[&["doctor"], arguments].concat(), "", &[&CLEAN, variables].concat())
}

/// kube-rs/kube#1203, davidB/kubectl-view-allocations#251: a shell behind a corporate proxy.
#[test]
fn proxy_of_the_environment_or_kubeconfig_is_used() {
    let (address, lines) = proxy();
    let folder = TempDir::new().unwrap();
    let url = format!("http://user:p%40ss@{address}");
    let plain = kubeconfig(&folder, "server: 'https://api.example:6443'");
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let ran =
            doctor(&["--kubeconfig", &plain], &[(variable, &url), ("NO_PROXY", "b.example,")]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.out.contains("api-server-unreachable"), "{ran:?}");
        assert!(!format!("{ran:?}").contains("p%40ss"), "{ran:?}");
        assert_eq!(lines.recv().unwrap(), "CONNECT api.example:6443 HTTP/1.1");
    }
    let own = format!("server: 'https://api.example:6443', proxy-url: '{url}'");
    let own = kubeconfig(&folder, &own);
    doctor(&["--kubeconfig", &own], &[("NO_PROXY", "api.example")]);
    assert_eq!(lines.recv().unwrap(), "CONNECT api.example:6443 HTTP/1.1");
}

#[test]
fn socks_proxy_of_kubeconfig_is_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let greeting = thread::spawn(move || {
        let mut version = [0];
        listener.accept().unwrap().0.read_exact(&mut version).unwrap();
        version
    });
    let folder = TempDir::new().unwrap();
    let cluster = format!("server: 'https://api.example', proxy-url: 'socks5://{address}'");
    doctor(&["--kubeconfig", &kubeconfig(&folder, &cluster)], &[]);
    assert_eq!(greeting.join().unwrap(), [5]);
}

#[test]
fn proxy_is_not_used_for_exempt_servers() {
    let (address, lines) = proxy();
    let folder = TempDir::new().unwrap();
    // This machine, and by its name no loopback address. Nothing listens on port 1.
    let kubeconfig = kubeconfig(&folder, "server: 'https://0.0.0.0:1'");
    for no_proxy in ["0.0.0.0", "a.example, 0.0.0.0/8 ,", "0.0.0.0:1", "*"] {
        let variables = [("HTTPS_PROXY", &*address), ("NO_PROXY", no_proxy)];
        let ran = doctor(&["--kubeconfig", &kubeconfig], &variables);
        assert!(ran.out.contains("api-server-unreachable"), "{ran:?}");
        assert!(lines.try_recv().is_err(), "NO_PROXY={no_proxy}");
    }
    doctor(&["--kubeconfig", &kubeconfig], &[("HTTPS_PROXY", &address), ("NO_PROXY", "0.0.0.0:2")]);
    assert_eq!(lines.recv().unwrap(), "CONNECT 0.0.0.0:1 HTTP/1.1");
}

/// kubernetes/kubernetes#78185, kube-rs/kube#198.
#[test]
fn missing_files_of_kubeconfig_list_are_passed_over() {
    let folder = TempDir::new().unwrap();
    let there = kubeconfig(&folder, "server: 'https://127.0.0.1:1'");
    let gone = folder.path().join("gone");
    let list = |files: &[&Path]| std::env::join_paths(files).unwrap().into_string().unwrap();
    for files in [[&gone, Path::new(&there)], [Path::new(&there), &gone]] {
        let ran = doctor(&[], &[("KUBECONFIG", &list(&files))]);
        assert!(ran.out.contains("api-server-unreachable"), "{ran:?}");
    }
    let gone = gone.to_str().unwrap();
    for (arguments, variables) in
        [(vec!["--kubeconfig", gone], vec![]), (vec![], vec![("KUBECONFIG", gone)])]
    {
        let ran = doctor(&arguments, &variables);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains(gone), "{ran:?}");
    }
}
