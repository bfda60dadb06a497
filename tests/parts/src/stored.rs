//! Signed requests to S3, by a client that shares no code with hive.

use crate::Minio;
use std::io::Write;
use std::process::{Command, Stdio};

/// One request by curl; the answer's body, or status and body where it is no success.
pub(crate) fn request(method: &str, url: &str, body: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let mut command = Command::new("curl");
    let user = format!("{}:{}", Minio::ACCESS_KEY, Minio::SECRET_KEY);
    command
        .env_clear()
        .args(["-sS", "-X", method, "--aws-sigv4"])
        .arg(format!("aws:amz:{}:s3", Minio::REGION))
        // The witness of what lies there, and not of who serves it.
        .arg("--insecure")
        .args(["--user", &user, "-w", "\n%{http_code}"])
        .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--path-as-is", "-g"]);
    if body.is_some() {
        command.args(["--data-binary", "@-", "-H", "content-type: application/octet-stream"]);
    }
    let mut child = command
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("curl does not start: {e}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(body.unwrap_or_default()).map_err(|e| format!("curl reads nothing: {e}"))?;
    }
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let at = output.stdout.iter().rposition(|it| *it == b'\n').unwrap_or_default();
    let (answer, status) = output.stdout.split_at(at);
    let status = String::from_utf8_lossy(status).trim().to_owned();
    if status.starts_with('2') {
        Ok(answer.to_vec())
    } else {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{method} {url}: {status} {}{errors}", String::from_utf8_lossy(answer)))
    }
}
