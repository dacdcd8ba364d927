//! Who may do what: the flags of `fanfare serve` that say so.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use fanfare::server::{Access, AccessError, Door, ForwardedHeader, Jwt, PublishRate, StaticToken};

/// Access, as flags. Secrets are in files, never on the command line, which others can read.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Access")]
pub(crate) struct AccessSettings {
    /// Whether whoever brings no token may subscribe [default: open, or closed if there are tokens].
    #[arg(long, value_enum, value_name = "DOOR")]
    subscribe: Option<DoorName>,
    /// Whether whoever brings no token may publish [default: open on a loopback address, if there are
    /// no tokens].
    #[arg(long, value_enum, value_name = "DOOR")]
    publish: Option<DoorName>,
    /// File of static tokens: [{"token": "…", "subscribe": ["news/**"], "publish": []}].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with what verifies JSON Web Tokens: a public key in PEM, a JSON Web Key Set, or a secret.
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    jwt_key_file: Vec<PathBuf>,
    /// The audience that JSON Web Tokens must be for [default: none].
    #[arg(long, value_name = "NAME")]
    jwt_audience: Option<String>,
    /// The issuer that JSON Web Tokens must be by [default: any that has a key].
    #[arg(long, value_name = "NAME")]
    jwt_issuer: Option<String>,
    /// Seconds that the clocks of whoever signs may be off.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    jwt_leeway: u32,
    /// Whether JSON Web Tokens must have an end.
    #[arg(long, value_enum, value_name = "WHETHER", default_value_t)]
    jwt_expiry: Expiry,
    /// The claim with the permissions.
    #[arg(long, value_name = "NAME", default_value = "fanfare")]
    jwt_claim: String,
    /// The cookie that a token may be in.
    #[arg(long, value_name = "NAME", default_value = "fanfare_token")]
    token_cookie: String,
    /// The query parameter that a subscriber's token may be in.
    #[arg(long, value_name = "NAME", default_value = "access_token")]
    token_parameter: String,
    /// Origin whose pages may use the server, such as https://example.com, or * for all, without cookies.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<String>,
    /// Address or network of proxies that say where requests come from, such as 10.0.0.0/8.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    trusted_proxy: Vec<String>,
    /// The header in which they say it.
    #[arg(long, value_enum, value_name = "HEADER", default_value_t)]
    forwarded_header: ForwardedName,
    /// Most event streams to one address, or to one /64 of IPv6; each costs 100 B more [default: no bound].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections_per_ip: Option<u32>,
    /// Most event streams with one token, or one subject of tokens [default: no bound].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections_per_token: Option<u32>,
    /// Messages a second that one token, or without one one address, may publish [default: no bound].
    #[arg(long, value_name = "N")]
    publish_rate: Option<f64>,
    /// Messages of these that may come at once [default: those of one second].
    #[arg(long, value_name = "N")]
    publish_burst: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DoorName {
    /// Everything.
    Open,
    /// Nothing.
    Closed,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Expiry {
    /// One without is refused.
    #[default]
    Required,
    /// One without is for ever.
    Optional,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ForwardedName {
    /// X-Forwarded-For.
    #[default]
    XForwardedFor,
    /// Forwarded.
    Forwarded,
}

impl AccessSettings {
    /// Whether messages may come at once for which there is no rate.
    pub(crate) fn has_burst_alone(&self) -> bool {
        self.publish_burst.is_some() && self.publish_rate.is_none()
    }

    /// What they come to; the files are read.
    pub(crate) fn access(&self) -> Result<Access, AccessError> {
        let networks = &self.trusted_proxy;
        let mut access = Access::new()
            .cookie(self.token_cookie.as_str())
            .parameter(self.token_parameter.as_str())
            .trusted_proxies(networks, self.forwarded_header.into())?;
        if let Some(door) = self.subscribe {
            access = access.subscribe(door.into());
        }
        if let Some(door) = self.publish {
            access = access.publish(door.into());
        }
        for token in self.token_file.iter().map(StaticToken::read_file) {
            access = token?.into_iter().fold(access, Access::token);
        }
        if !self.jwt_key_file.is_empty() {
            access = access.jwt(self.jwt()?);
        }
        access = self.cors_origin.iter().fold(access, Access::cors_origin);
        if let Some(connections) = self.connections_per_ip {
            access = access.connections_per_ip(connections as usize);
        }
        if let Some(connections) = self.connections_per_token {
            access = access.connections_per_token(connections as usize);
        }
        if let Some(per_second) = self.publish_rate {
            let rate = PublishRate::per_second(per_second);
            access = access.publish_rate(self.publish_burst.map_or(rate, |n| rate.burst(n)));
        }
        Ok(access)
    }

    fn jwt(&self) -> Result<Jwt, AccessError> {
        let mut jwt = self.jwt_key_file.iter().try_fold(Jwt::new(), Jwt::key_file)?;
        jwt =
            jwt.claim(self.jwt_claim.as_str()).leeway(Duration::from_secs(self.jwt_leeway.into()));
        if let Some(audience) = &self.jwt_audience {
            jwt = jwt.audience(audience);
        }
        if let Some(issuer) = &self.jwt_issuer {
            jwt = jwt.issuer(issuer);
        }
        Ok(match self.jwt_expiry {
            Expiry::Required => jwt,
            Expiry::Optional => jwt.without_expiry(),
        })
    }
}

impl From<DoorName> for Door {
    fn from(name: DoorName) -> Self {
        match name {
            DoorName::Open => Self::Open,
            DoorName::Closed => Self::Closed,
        }
    }
}

impl From<ForwardedName> for ForwardedHeader {
    fn from(name: ForwardedName) -> Self {
        match name {
            ForwardedName::XForwardedFor => Self::XForwardedFor,
            ForwardedName::Forwarded => Self::Forwarded,
        }
    }
}
