//! The client of a cluster, which is found as kubectl finds it.

use std::{
    env,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::Uri;
use kube::{
    Client, Config,
    config::{ExecAuthCluster, Kubeconfig, KubeconfigError},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::proxy::{ProxyError, proxy};

/// The longest silence of the API server. It applies to watches too, and kube lets a quiet watch last
/// 290 s, so it must be longer.
const READ_TIMEOUT: Duration = Duration::from_secs(295);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No kubeconfig and no service account.
    #[error("no kubeconfig ({looked_at}), and no service account of a pod")]
    Nowhere {
        /// The files that do not exist.
        looked_at: String,
        /// Why there is no service account.
        source: kube::config::InClusterError,
    },
    /// The kubeconfig is broken or lacks the context.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] KubeconfigError),
    /// The CA of the kubeconfig is not PEM.
    #[error("the kubeconfig's CA certificate is not PEM")]
    Ca(#[from] rustls_pki_types::pem::Error),
    /// A proxy cannot be used.
    #[error("the proxy cannot be used")]
    Proxy(#[from] ProxyError),
    /// The client cannot be built from the configuration.
    #[error("cannot make a client")]
    Client(#[from] kube::Error),
}

/// A client for the cluster of `kubeconfig` and `context`. Defaults: the files of `KUBECONFIG`, then
/// `~/.kube/config`, then the pod's service account; the current context.
pub async fn connect(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Client, ConnectError> {
    let files = match kubeconfig {
        Some(file) => vec![file.to_owned()],
        None => default_files(env::var_os("KUBECONFIG").as_deref()),
    };
    let mut config = match read(&files, kubeconfig.is_some())? {
        Some(kubeconfig) => config(kubeconfig, context)?,
        None if context.is_some() => return Err(KubeconfigError::CurrentContextNotSet.into()),
        // Proxies are for people's machines: a pod reaches the API server without one.
        None => Config::incluster().map_err(|source| ConnectError::Nowhere {
            looked_at: files
                .iter()
                .map(|file| file.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
            source,
        })?,
    };
    config.read_timeout = Some(READ_TIMEOUT);
    Ok(Client::try_from(config)?)
}

/// The files of `KUBECONFIG`, or `~/.kube/config`.
fn default_files(variable: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    let listed = variable.into_iter().flat_map(env::split_paths);
    let files: Vec<_> = listed.filter(|file| !file.as_os_str().is_empty()).collect();
    if !files.is_empty() {
        return files;
    }
    env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect()
}

/// Reads and merges files: the first to set a value wins, and one that does not exist is passed over
/// (client-go `clientcmd/loader.go`). `None` if none exists; an error if the user named the file.
fn read(files: &[PathBuf], is_named: bool) -> Result<Option<Kubeconfig>, KubeconfigError> {
    let mut merged: Option<Kubeconfig> = None;
    for file in files {
        let mut next = match Kubeconfig::read_from(file) {
            Err(KubeconfigError::ReadConfig(error, _))
                if error.kind() == ErrorKind::NotFound && !is_named =>
            {
                continue;
            }
            next => next?,
        };
        // `kubectl config unset current-context` leaves an empty text.
        next.current_context.take_if(|context| context.is_empty());
        merged = Some(match merged {
            Some(merged) => merged.merge(next)?,
            None => next,
        });
    }
    Ok(merged)
}

/// What kube's own loader makes of a kubeconfig, but for the proxy.
fn config(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Config, ConnectError> {
    let Kubeconfig { contexts, clusters, auth_infos, current_context, .. } = kubeconfig;
    let name = context.map(str::to_owned).or(current_context);
    let name = name.ok_or(KubeconfigError::CurrentContextNotSet)?;
    let context = contexts.into_iter().find(|one| one.name == name).and_then(|one| one.context);
    let context = context.ok_or(KubeconfigError::LoadContext(name))?;
    let cluster = clusters.into_iter().find(|one| one.name == context.cluster);
    let cluster = cluster
        .and_then(|one| one.cluster)
        .ok_or(KubeconfigError::LoadClusterOfContext(context.cluster))?;
    // As client-go: a context may name no user.
    let user = auth_infos.into_iter().find(|one| Some(&one.name) == context.user.as_ref());
    let mut user = user.and_then(|one| one.auth_info).unwrap_or_default();

    let info = ExecAuthCluster::try_from(&cluster)?;
    let server = cluster.server.as_deref().ok_or(KubeconfigError::MissingClusterUrl)?;
    let server: Uri = server.parse().map_err(KubeconfigError::ParseClusterUrl)?;
    let mut config = Config::new(server);
    config.proxy_url =
        proxy(cluster.proxy_url.as_deref(), &config.cluster_url, |name| env::var(name).ok())?;
    if let Some(pem) = &info.certificate_authority_data {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
        config.root_cert = Some(certificates.iter().map(|one| one.to_vec()).collect());
    }
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or_default();
    config.tls_server_name = cluster.tls_server_name;
    config.default_namespace = context.namespace.unwrap_or_else(|| "default".to_owned());
    if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(info);
    }
    config.auth_info = user;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn kubeconfig(context: &str, server: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {context:?}\n\
             clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\n\
             contexts: [{{name: {server:?}, context: {{cluster: c, user: u, namespace: n}}}}]\n"
        )
    }

    /// kubernetes/kubernetes#78185, kube-rs/kube#198: kubectl passes over files that do not exist.
    #[test]
    fn missing_kubeconfig_files_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), kubeconfig("", "https://a")).unwrap();
        fs::write(path("b"), kubeconfig("https://b", "https://b")).unwrap();
        let read = |names: &[&str]| {
            let files: Vec<_> = names.iter().map(|name| path(name)).collect();
            read(&files, false).unwrap()
        };
        let server = |kubeconfig: Kubeconfig| {
            config(kubeconfig, None).map(|config| config.cluster_url.to_string())
        };
        assert_eq!(server(read(&["gone", "b"]).unwrap()).unwrap(), "https://b/");
        assert_eq!(server(read(&["b", "gone"]).unwrap()).unwrap(), "https://b/");
        // The first file that sets a value wins; an empty current context is not set.
        assert_eq!(server(read(&["a", "gone", "b"]).unwrap()).unwrap(), "https://a/");
        assert!(read(&["gone", "gone too"]).is_none());
        assert!(super::read(&[path("gone")], true).is_err(), "the user named it");
        fs::write(path("broken"), "clusters: 1").unwrap();
        assert!(super::read(&[path("broken"), path("b")], false).is_err());
    }

    #[test]
    fn kubeconfig_variable_without_a_path_is_the_default() {
        let of = |text: &str| default_files(Some(text.as_ref()));
        assert_eq!(of("/a::/b"), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(of(":"), default_files(None));
    }

    #[test]
    fn context_selects_cluster_user_and_proxy() {
        let text = kubeconfig("https://a", "https://a")
            .replace("server: 'https://a'", "server: 'https://a', proxy-url: 'http://p:1'");
        let of = |context: Option<&str>| config(Kubeconfig::from_yaml(&text).unwrap(), context);
        let found = of(None).unwrap();
        assert_eq!(found.proxy_url.unwrap(), "http://p:1/");
        assert_eq!(found.default_namespace, "n");
        assert!(found.auth_info.token.is_some());
        let error = of(Some("other")).unwrap_err();
        assert!(matches!(error, ConnectError::Kubeconfig(KubeconfigError::LoadContext(_))));
    }
}
