//! The client: whose keys, which server, how patient.

use super::failure::chain;
use super::stall::watched;
use crate::location::S3Settings;
use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use hive_contract::{Failure, FailureKind};
use secrecy::ExposeSecret;
use std::time::Duration;

/// How long nothing may move on a connection where nobody says otherwise.
pub(crate) const STALLED: Duration = Duration::from_secs(30);

/// How long hive waits, and how often it tries again within one call. All of it ends.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// For a connection.
    pub(super) connect: Duration,
    /// While nothing moves, out or in.
    pub(super) stalled: Duration,
    /// For one try of a call without a large body.
    pub(super) attempt: Duration,
    /// How many tries.
    pub(super) attempts: u32,
    /// The wait before the second try; each next is twice as long, up to five seconds.
    pub(super) first_wait: Duration,
}

impl Patience {
    /// With so much time while nothing moves, from which the others follow.
    pub(super) fn of(stalled: Duration) -> Self {
        Self {
            connect: stalled.min(Duration::from_secs(5)),
            stalled,
            attempt: stalled.saturating_mul(2),
            attempts: 5,
            first_wait: Duration::from_millis(200),
        }
    }

    /// The wait after so many tries.
    pub(super) fn wait(&self, tries: u32) -> Duration {
        let wait = self.first_wait.saturating_mul(1 << tries.saturating_sub(1).min(10));
        wait.min(Duration::from_secs(5))
    }

    /// How long a stream may go on with tries that bring nothing.
    pub(super) fn without_progress(&self) -> Duration {
        self.stalled.saturating_mul(self.attempts)
    }

    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .read_timeout(self.stalled)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.attempt.saturating_mul(self.attempts + 1))
            .build()
    }

    /// The settings for a call that sends something large: as long as it moves.
    pub(super) fn sending(&self) -> Builder {
        self.moving(self.stalled)
    }

    /// The settings for a call after which a server puts so many bytes together, 8 MiB a second or
    /// more, before it answers.
    pub(super) fn joining(&self, bytes: u64) -> Builder {
        let joins = Duration::from_secs(bytes / (8 << 20)).min(self.stalled.saturating_mul(20));
        self.moving(self.stalled + joins)
    }

    fn moving(&self, stalled: Duration) -> Builder {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .read_timeout(stalled)
            .disable_operation_attempt_timeout()
            .disable_operation_timeout();
        Builder::default().timeout_config(timeouts.build())
    }
}

/// A client for one bucket, shown as a person writes it.
pub(super) async fn connect(
    shown: &str,
    settings: &S3Settings,
    patience: &Patience,
) -> Result<Client, Failure> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let http = watched(http);
    let region = settings.region.clone().map(Region::new);
    let mut builder = match &settings.keys {
        Some(keys) => {
            let (access, secret) = (keys.access.expose_secret(), keys.secret.expose_secret());
            let credentials = Credentials::new(access, secret, None, None, "declared");
            Builder::new()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .credentials_provider(SharedCredentialsProvider::new(credentials))
                .http_client(http)
        }
        None => {
            let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http);
            if let Some(region) = region.clone() {
                loader = loader.region(region);
            }
            Builder::from(&loader.load().await)
        }
    };
    if let Some(region) = region {
        builder = builder.region(region);
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    builder = builder
        .force_path_style(settings.path_style)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(patience.attempts)
                .with_initial_backoff(patience.first_wait)
                .with_max_backoff(Duration::from_secs(5)),
        )
        .timeout_config(patience.timeouts())
        // It looks at bodies alone, and at those from memory not at all: `stall` looks at everything.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let config = builder.build();
    let client = Client::from_conf(config);
    match (client.config().region(), &settings.endpoint) {
        (Some(_), _) => Ok(client),
        // A server of one's own has none that matters.
        (None, Some(_)) => {
            let region = Region::from_static("us-east-1");
            Ok(Client::from_conf(client.config().to_builder().region(region).build()))
        }
        (None, None) => Err(Failure::new(
            FailureKind::Invalid,
            format!("it is not known in which region {shown} is: `s3.region` says it"),
        )),
    }
}

/// Whether an error says that there are no keys.
pub(super) fn has_no_keys(error: &(dyn std::error::Error + 'static)) -> bool {
    let text = chain(error);
    ["credentials", "identity"].iter().any(|word| text.contains(word))
}
