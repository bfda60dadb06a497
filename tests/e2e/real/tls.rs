//! Who is at the other end is proven: an S3 and a PostgreSQL behind TLS, with certificates that are
//! trusted, of nobody known, and of somebody else.

use crate::data::shop::Shop;
use crate::lab::Ran;
use hive_parts::{Authority, Minio, PASSWORD, Postgres, USER};
use std::path::{Path, PathBuf};

/// A shop whose backups go to an S3 behind TLS.
struct Far {
    shop: Shop,
    minio: Minio,
}

impl Far {
    fn to(minio: Minio, endpoint: &str) -> Self {
        let shop = Shop::sqlite();
        shop.lab.write("secret/access", Minio::ACCESS_KEY);
        shop.lab.write("secret/secret", Minio::SECRET_KEY);
        let far = Self { shop, minio };
        far.stage(1, endpoint);
        far
    }

    fn stage(&self, stage: usize, endpoint: &str) {
        let s3 = format!(
            "\n[backup.main.s3]\nendpoint = \"{endpoint}\"\nregion = \"{}\"\npath_style = true\n\
             access_key = {{ file = \"secret/access\" }}\nsecret_key = {{ file = \"secret/secret\" }}\n",
            Minio::REGION,
        );
        self.shop.stage(stage);
        let toml = self.shop.toml(stage, false, &s3);
        let far = format!("\"s3://{}/shop\"", Minio::BUCKET);
        self.shop.lab.stack(&toml.replace("\"backups\"", &far));
    }

    /// hive where it is told of a root, and where it is not.
    fn hive(&self, root: Option<&Path>, arguments: &[&str]) -> Ran {
        let mut command = self.shop.lab.command(arguments);
        if let Some(root) = root {
            command.env("SSL_CERT_FILE", root);
        }
        Ran::of(command.output().expect("hive starts"))
    }

    #[track_caller]
    fn done(&self, root: Option<&Path>, arguments: &[&str]) -> Ran {
        let ran = self.hive(root, arguments);
        assert_eq!(ran.code, 0, "hive {arguments:?}\n{ran}");
        ran
    }

    /// Refused with words about the certificate, and no key is told to whoever is there.
    #[track_caller]
    fn refused(&self, root: Option<&Path>, arguments: &[&str], words: &str) {
        let ran = self.hive(root, arguments);
        assert!([1, 3, 5].contains(&ran.code), "hive {arguments:?}\n{ran}");
        assert!(!ran.all().contains("panicked"), "{ran}");
        ran.says("backup.main").says("certificate is not to be trusted").says(words);
    }
}

#[test]
fn an_s3_of_an_authority_of_ones_own_is_trusted_where_hive_is_told_of_it() {
    let authority = Authority::new();
    let root = authority.root();
    let minio = Minio::with_tls(authority.sign("IP:127.0.0.1"));
    let endpoint = minio.endpoint();
    let far = Far::to(minio, &endpoint);
    far.refused(None, &["apply", "-y"], "UnknownIssuer");
    far.refused(None, &["apply", "-y"], "SSL_CERT_FILE");
    assert_eq!(far.minio.keys(""), Vec::<String>::new());

    far.done(Some(&root), &["apply", "-y"]);
    far.shop.order(1, 20);
    far.done(Some(&root), &["backup", "run", "-y"]);
    far.done(Some(&root), &["backup", "verify", "-y"]);
    let (held, there) = (far.shop.data(), far.minio.keys(""));
    far.shop.order(21, 30);
    let now = far.shop.data();
    // Not told of it any more, hive neither writes there nor reads, and nothing else is touched.
    far.stage(2, &endpoint);
    for arguments in [
        &["backup", "run", "-y"][..],
        &["backup", "restore", "backup.main", "-y"],
        &["apply", "-y"],
    ] {
        far.refused(None, arguments, "UnknownIssuer");
    }
    assert_eq!((far.minio.keys(""), far.shop.data()), (there, now));
    assert_eq!(far.shop.running(), ["1"]);
    far.stage(1, &endpoint);
    far.done(Some(&root), &["backup", "restore", "backup.main", "-y"]);
    assert_eq!(far.shop.data(), held);
    let _ = far.hive(Some(&root), &["unfreeze"]);
    far.done(Some(&root), &["plan", "--exit-code"]);
}

#[test]
fn an_s3_with_the_certificate_of_somebody_else_is_refused() {
    let authority = Authority::new();
    let root = authority.root();
    let minio = Minio::with_tls(authority.sign("DNS:elsewhere.invalid"));
    let endpoint = minio.endpoint();
    let far = Far::to(minio, &endpoint);
    far.refused(Some(&root), &["apply", "-y"], "not valid for name");
    assert_eq!(far.minio.keys(""), Vec::<String>::new());
    // And one that talks no TLS is none of `https`.
    let plain = Minio::start();
    let far = Far::to(plain, &endpoint);
    far.stage(1, &far.minio.endpoint().replace("http:", "https:"));
    let ran = far.hive(Some(&root), &["apply", "-y"]);
    assert!([1, 3, 5].contains(&ran.code), "{ran}");
    ran.says("backup.main");
    assert_eq!(far.minio.keys(""), Vec::<String>::new());
}

/// A shop on a PostgreSQL that talks TLS alone, with a url that ends like this.
fn behind_tls(server: Postgres, after: &str) -> Shop {
    let shop = Shop::in_postgres(server);
    shop.stage(1);
    with(&shop, after);
    shop
}

fn with(shop: &Shop, after: &str) {
    shop.url(&shop.with_server(|server, name| format!("{}{after}", server.url(name))));
}

fn verified(root: &Path) -> String {
    format!("?sslmode=verify-full&sslrootcert={}", root.display())
}

#[test]
fn a_postgres_of_an_authority_of_ones_own_is_trusted_where_the_url_names_it() {
    let authority = Authority::new();
    let root = authority.root();
    let server = Postgres::with_tls(&authority.sign("IP:127.0.0.1"));
    let shop = behind_tls(server, &verified(&root));
    // All of it goes that way, and so do PostgreSQL's own programs.
    shop.expect(0, &["apply", "-y"]);
    shop.order(1, 20);
    let old = shop.data();
    shop.expect(0, &["backup", "run", "-y"]);
    shop.expect(0, &["backup", "verify", "-y"]);
    shop.stage(2);
    shop.expect(0, &["apply", "-y"]);
    let now = shop.data();
    // A root that is in the stack's folder is named from there.
    std::fs::copy(&root, shop.lab.path("root.crt")).expect("copies");
    with(&shop, &verified(&PathBuf::from("root.crt")));
    shop.expect(0, &["apply", "-y"]);
    shop.expect(0, &["restore", "1", "--with-data", "-y"]);
    assert_eq!(shop.data(), old);
    shop.expect(0, &["unfreeze"]);
    shop.expect(0, &["apply", "-y"]);
    assert_eq!(shop.data(), now);

    // Of an authority that nobody named, in the clear, and with another's root.
    let other = Authority::new();
    for (after, words) in [
        ("?sslmode=verify-full".to_owned(), "TLS failed"),
        (verified(&other.root()), "TLS failed"),
        ("?sslmode=disable".to_owned(), "no encryption"),
        ("?sslmode=require".to_owned(), "a certificate of anybody"),
        (verified(Path::new("no-such.crt")), "no-such.crt"),
    ] {
        with(&shop, &after);
        for arguments in [&["apply", "-y"][..], &["backup", "run", "-y"]] {
            let ran = shop.hive(arguments);
            assert!([1, 3, 5].contains(&ran.code), "{after}\n{ran}");
            ran.says(words);
            assert!(!ran.all().contains(PASSWORD), "{after}\n{ran}");
        }
        assert_eq!(shop.data(), now, "{after}");
        assert_eq!(shop.running(), ["2"], "{after}");
    }
    with(&shop, &verified(&root));
    shop.expect(0, &["backup", "run", "-y"]);
}

#[test]
fn a_postgres_with_the_certificate_of_somebody_else_is_refused() {
    let authority = Authority::new();
    let server = Postgres::with_tls(&authority.sign("DNS:elsewhere.invalid"));
    let shop = behind_tls(server, &verified(&authority.root()));
    let ran = shop.hive(&["apply", "-y"]);
    assert!([1, 3].contains(&ran.code), "{ran}");
    ran.says("database.main").says("TLS failed").says("not valid for name");
    let told = shop.with_server(|server, name| {
        // Nothing of it was made, and the witness itself takes any certificate.
        let made = server.databases().iter().any(|it| it.starts_with(name));
        (
            made,
            server.try_psql(
                "postgres",
                &format!("SELECT usename FROM pg_user WHERE usename = '{USER}'"),
            ),
        )
    });
    assert_eq!(told, (false, Ok(USER.to_owned())));
}
