//! An S3 of one's own.

use crate::authority::Certificate;
use crate::place;
use crate::server::{Server, free_port};
use crate::stored;
use std::path::Path;
use std::process::Command;

/// MinIO with one bucket, on a free port of the loopback interface.
#[derive(Debug)]
pub struct Minio {
    port: u16,
    tls: Option<Certificate>,
    server: Option<Server>,
    folder: tempfile::TempDir,
}

impl Minio {
    /// Its bucket.
    pub const BUCKET: &str = "backups";
    /// The access key of its only user.
    pub const ACCESS_KEY: &str = "keeper-access";
    /// The secret key: found nowhere but where hive was told it.
    pub const SECRET_KEY: &str = "canary-Sk-51c9d0aa";
    /// Its region.
    pub const REGION: &str = "us-east-1";

    /// Starts one, with [`Minio::BUCKET`] empty.
    #[must_use]
    pub fn start() -> Self {
        Self::with(None)
    }

    /// The same behind TLS, with this certificate.
    #[must_use]
    pub fn with_tls(certificate: Certificate) -> Self {
        Self::with(Some(certificate))
    }

    fn with(tls: Option<Certificate>) -> Self {
        let folder = tempfile::Builder::new().prefix("hive-s3").tempdir().expect("a folder");
        let mut minio = Self { folder, port: free_port(), tls, server: None };
        minio.up();
        minio
    }

    /// The endpoint, such as `http://127.0.0.1:9000`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The keys of all objects below a prefix, in order.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let coded = |it: &str| it.replace('/', "%2F");
            let query =
                format!("?list-type=2&prefix={}&start-after={}", coded(prefix), coded(&after));
            let text = self.request("GET", &query, None).expect("it lists");
            let text = String::from_utf8_lossy(&text).into_owned();
            let found: Vec<String> = text
                .split("<Key>")
                .skip(1)
                .filter_map(|it| it.split("</Key>").next().map(str::to_owned))
                .collect();
            let Some(last) = found.last() else { return keys };
            after.clone_from(last);
            keys.extend(found);
            if !text.contains("<IsTruncated>true") {
                return keys;
            }
        }
    }

    /// The bytes of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Vec<u8> {
        self.request("GET", &format!("/{key}"), None).unwrap_or_else(|e| panic!("{key}: {e}"))
    }

    /// Writes an object over whatever is there.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.request("PUT", &format!("/{key}"), Some(bytes))
            .unwrap_or_else(|e| panic!("{key}: {e}"));
    }

    /// Removes an object.
    pub fn delete(&self, key: &str) {
        self.request("DELETE", &format!("/{key}"), None).unwrap_or_else(|e| panic!("{key}: {e}"));
    }

    /// The keys of uploads in parts that were neither completed nor given up.
    #[must_use]
    pub fn open_uploads(&self) -> Vec<String> {
        let text = self.request("GET", "?uploads=", None).expect("it lists");
        let text = String::from_utf8_lossy(&text).into_owned();
        text.split("<Key>")
            .skip(1)
            .filter_map(|it| it.split("</Key>").next().map(str::to_owned))
            .collect()
    }

    /// Ends the server at once.
    pub fn kill(&mut self) {
        drop(self.server.take().expect("it runs"));
    }

    /// Starts it again after [`Minio::kill`], on the same port.
    pub fn restart(&mut self) {
        assert!(self.server.is_none(), "it runs");
        self.up();
    }

    fn request(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let url = format!("{}/{}{path}", self.endpoint(), Self::BUCKET);
        stored::request(method, &url, body)
    }

    fn up(&mut self) {
        let data = self.folder.path().join("data");
        let mut command = Command::new(place::program("minio"));
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("MINIO_ROOT_USER", Self::ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", Self::SECRET_KEY)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            .current_dir(self.folder.path())
            .arg("server")
            .arg(&data)
            .args(["--address", &format!("127.0.0.1:{}", self.port)]);
        if let Some(certificate) = &self.tls {
            let folder = self.folder.path().join("certs");
            certificate.copy(&folder, "public.crt", "private.key");
            command.arg("--certs-dir").arg(&folder);
        }
        let log = self.folder.path().join("server.log");
        // It listens before it can do anything: it is ready when it has its bucket.
        let ready = || match self.request("PUT", "", None) {
            Ok(_) => true,
            Err(message) => message.contains("BucketAlreadyOwnedByYou"),
        };
        self.server = Some(Server::start("minio", &mut command, &log, ready));
    }

    /// The folder of its data: who stops it may make it full or read-only.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
