//! The fields of an agent card as the standard's proto declares them: what stands in each, and when it may be left out.

/// What stands in a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Flag,
    Texts,
    /// An object of texts.
    TextMap,
    One(&'static Message),
    Many(&'static Message),
    /// An object of messages.
    Map(&'static Message),
    /// Any JSON object (`google.protobuf.Struct`).
    Free,
}

/// When a field is part of the canonical form (A2A section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// `REQUIRED`: whatever it holds.
    Required,
    /// `optional`: whenever it is given.
    Optional,
    /// Neither: unless it holds its default.
    Plain,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) presence: Presence,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
    /// Exactly one of the fields is given (`oneof`).
    pub(super) one_of: bool,
}

impl Message {
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

use Kind::{Flag, Free, Many, Map, One, Text, TextMap, Texts};

const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, presence: Presence::Required, kind }
}

const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, presence: Presence::Optional, kind }
}

const fn plain(name: &'static str, kind: Kind) -> Field {
    Field { name, presence: Presence::Plain, kind }
}

const fn all(fields: &'static [Field]) -> Message {
    Message { fields, one_of: false }
}

const fn one_of(fields: &'static [Field]) -> Message {
    Message { fields, one_of: true }
}

/// `AgentCard` of `lf.a2a.v1`, release 1.0.1.
pub(super) static CARD: Message = all(&[
    must("name", Text),
    must("description", Text),
    must("supportedInterfaces", Many(&INTERFACE)),
    plain("provider", One(&PROVIDER)),
    must("version", Text),
    may("documentationUrl", Text),
    must("capabilities", One(&CAPABILITIES)),
    plain("securitySchemes", Map(&SECURITY_SCHEME)),
    plain("securityRequirements", Many(&SECURITY_REQUIREMENT)),
    must("defaultInputModes", Texts),
    must("defaultOutputModes", Texts),
    must("skills", Many(&SKILL)),
    plain("signatures", Many(&SIGNATURE)),
    may("iconUrl", Text),
]);

static INTERFACE: Message =
    all(&[must("url", Text), must("protocolBinding", Text), plain("tenant", Text), must("protocolVersion", Text)]);

static PROVIDER: Message = all(&[must("url", Text), must("organization", Text)]);

static CAPABILITIES: Message = all(&[
    may("streaming", Flag),
    may("pushNotifications", Flag),
    plain("extensions", Many(&EXTENSION)),
    may("extendedAgentCard", Flag),
]);

static EXTENSION: Message =
    all(&[plain("uri", Text), plain("description", Text), plain("required", Flag), plain("params", Free)]);

static SKILL: Message = all(&[
    must("id", Text),
    must("name", Text),
    must("description", Text),
    must("tags", Texts),
    plain("examples", Texts),
    plain("inputModes", Texts),
    plain("outputModes", Texts),
    plain("securityRequirements", Many(&SECURITY_REQUIREMENT)),
]);

static SIGNATURE: Message = all(&[must("protected", Text), must("signature", Text), plain("header", Free)]);

static SECURITY_REQUIREMENT: Message = all(&[plain("schemes", Map(&SCOPES))]);

static SCOPES: Message = all(&[plain("list", Texts)]);

static SECURITY_SCHEME: Message = one_of(&[
    plain("apiKeySecurityScheme", One(&API_KEY)),
    plain("httpAuthSecurityScheme", One(&HTTP_AUTH)),
    plain("oauth2SecurityScheme", One(&OAUTH2)),
    plain("openIdConnectSecurityScheme", One(&OPEN_ID)),
    plain("mtlsSecurityScheme", One(&MUTUAL_TLS)),
]);

static API_KEY: Message = all(&[plain("description", Text), must("location", Text), must("name", Text)]);

static HTTP_AUTH: Message = all(&[plain("description", Text), must("scheme", Text), plain("bearerFormat", Text)]);

static OAUTH2: Message =
    all(&[plain("description", Text), must("flows", One(&FLOWS)), plain("oauth2MetadataUrl", Text)]);

static OPEN_ID: Message = all(&[plain("description", Text), must("openIdConnectUrl", Text)]);

static MUTUAL_TLS: Message = all(&[plain("description", Text)]);

static FLOWS: Message = one_of(&[
    plain("authorizationCode", One(&AUTHORIZATION_CODE)),
    plain("clientCredentials", One(&CLIENT_CREDENTIALS)),
    plain("implicit", One(&IMPLICIT)),
    plain("password", One(&PASSWORD)),
    plain("deviceCode", One(&DEVICE_CODE)),
]);

static AUTHORIZATION_CODE: Message = all(&[
    must("authorizationUrl", Text),
    must("tokenUrl", Text),
    plain("refreshUrl", Text),
    must("scopes", TextMap),
    plain("pkceRequired", Flag),
]);

static CLIENT_CREDENTIALS: Message = all(&[must("tokenUrl", Text), plain("refreshUrl", Text), must("scopes", TextMap)]);

static IMPLICIT: Message = all(&[plain("authorizationUrl", Text), plain("refreshUrl", Text), plain("scopes", TextMap)]);

static PASSWORD: Message = all(&[plain("tokenUrl", Text), plain("refreshUrl", Text), plain("scopes", TextMap)]);

static DEVICE_CODE: Message = all(&[
    must("deviceAuthorizationUrl", Text),
    must("tokenUrl", Text),
    plain("refreshUrl", Text),
    must("scopes", TextMap),
]);
