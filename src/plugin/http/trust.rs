//! Whose certificates are trusted: those of the system's authorities, and of the plugin's `ca`.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::plugin::error::LoadFault;
use crate::plugin::load;

use super::failure::Failure;

/// Whom a plugin trusts. The system's authorities are read when they are needed first.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Trust {
    own: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    /// Trusts the authorities in `file`, if there is one, beside the system's.
    ///
    /// # Errors
    ///
    /// If the file can't be used.
    pub(in crate::plugin) fn of(file: Option<&Path>) -> Result<Trust, LoadFault> {
        let Some(file) = file else { return Ok(Trust::default()) };
        Trust::with(file).map_err(|reason| {
            let file = file.display().to_string();
            LoadFault::Certificates { file, reason }
        })
    }

    /// Trusts the authorities in `file` beside the system's; the error says what is wrong with it.
    fn with(file: &Path) -> Result<Trust, String> {
        let bytes = load::read(file).map_err(|fault| match fault {
            // Its words are about `wasm`.
            LoadFault::Missing => "there is no such file".to_owned(),
            other => other.to_string().trim_end_matches('.').to_owned(),
        })?;
        let own: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("it is no PEM ({error})"))?;
        if own.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let mut store = RootCertStore::empty();
        for certificate in &own {
            let added = store.add(certificate.clone());
            added.map_err(|error| format!("a certificate in it can't be read ({error})"))?;
        }
        Ok(Trust { own, config: OnceCell::new() })
    }

    /// How TLS is spoken.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, Failure> {
        let config = self.config.get_or_try_init(async || {
            let own = self.own.clone();
            // The system's authorities are a hundred files.
            let made = tokio::task::spawn_blocking(move || config(own)).await;
            made.unwrap_or(Err(Failure::NobodyTrusted))
        });
        config.await.cloned()
    }
}

fn config(own: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, Failure> {
    let mut store = RootCertStore::empty();
    // Of the system's, those that can be read are enough.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store.add_parsable_certificates(own);
    if store.is_empty() {
        return Err(Failure::NobodyTrusted);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Failure::NobodyTrusted)?;
    let mut config = config.with_root_certificates(store).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
