//! An authority of one's own, whose certificates nobody else trusts.

use crate::server::User;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A root that `openssl` has made, and what it signs.
#[derive(Debug)]
pub struct Authority {
    folder: tempfile::TempDir,
}

/// A certificate with its key, as a server wants them.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, as PEM.
    pub certificate: PathBuf,
    /// Its key, readable by the user of the servers alone.
    pub key: PathBuf,
}

const CURVE: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("hive-ca").tempdir().expect("a folder");
        User::give(folder.path());
        let authority = Self { folder };
        authority.openssl(
            &[&["req", "-x509"], &CURVE[..], &["-days", "2", "-subj", "/CN=a root of tests"]]
                .concat(),
            &["-keyout", "root.key", "-out", "root.crt"],
        );
        authority
    }

    /// Its own certificate: who trusts this file trusts what it signs.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.crt")
    }

    /// A certificate for a server of this name, such as `IP:127.0.0.1` or `DNS:elsewhere.invalid`.
    #[must_use]
    pub fn sign(&self, name: &str) -> Certificate {
        let word: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let file = |ending: &str| format!("{word}.{ending}");
        let extensions = format!("subjectAltName={name}\nbasicConstraints=critical,CA:FALSE\n");
        fs::write(self.path(&file("ext")), extensions).expect("a file");
        self.openssl(
            &[&["req"], &CURVE[..], &["-subj", "/CN=a server of tests"]].concat(),
            &["-keyout", &file("key"), "-out", &file("csr")],
        );
        self.openssl(
            &["x509", "-req", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial"],
            &["-days", "2", "-in", &file("csr"), "-extfile", &file("ext"), "-out", &file("crt")],
        );
        let signed =
            Certificate { certificate: self.path(&file("crt")), key: self.path(&file("key")) };
        for path in [&signed.certificate, &signed.key] {
            User::give(path);
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("closes");
        }
        signed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, first: &[&str], then: &[&str]) {
        let output = Command::new("openssl")
            .args(first)
            .args(then)
            .current_dir(self.folder.path())
            .output()
            .expect("openssl starts: it is a part of Debian, and of most systems");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Certificate {
    /// Puts both where a server looks for them, under these names.
    pub(crate) fn copy(&self, to: &Path, certificate: &str, key: &str) {
        fs::create_dir_all(to).expect("a folder");
        fs::copy(&self.certificate, to.join(certificate)).expect("copies");
        fs::copy(&self.key, to.join(key)).expect("copies");
    }
}
