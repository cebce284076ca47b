//! What is stored of an agent: made of a draft, changed by its owner, every field checked.

use crate::agent::AgentDraft;
use crate::records::{AgentRow, AgentStatus, Runner, SchemaText};
use haggle_base::{Did, List, Text};
use haggle_catalog::PricingModel;
use haggle_gateway::ApiError;
use haggle_gateway::view::{AgentChange, PriceFor};
use serde_json::Value;

/// The word for being offered everywhere, beside which no other one means anything.
const EVERYWHERE: &str = "global";

/// The row of a new agent, every field checked.
pub(crate) fn row(did: Did, draft: &AgentDraft, runner: Runner) -> Result<AgentRow, ApiError> {
    let name_fits = !draft.name.is_empty()
        && draft.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !name_fits {
        return Err(ApiError::bad_request(
            "bad_name",
            format!("{:?} is no name for an agent", draft.name),
            "take 1 to 48 of a-z, 0-9 and -",
        ));
    }
    let deliver_within_secs = u32::try_from(draft.deliver_within.as_secs()).unwrap_or(u32::MAX);
    Ok(AgentRow {
        did,
        name: bounded(&draft.name, "the name")?,
        description: bounded(&draft.description, "the description")?,
        category: bounded(&draft.category, "the category")?,
        tags: tags_of(&draft.tags)?,
        price: draft.price,
        pricing: model(draft.pricing),
        regions: regions_of(&draft.regions)?,
        input_schema: draft.input_schema.as_ref().map(schema_text).transpose()?,
        output_schema: draft.output_schema.as_ref().map(schema_text).transpose()?,
        deliver_within_secs,
        posts_delivery: draft.posts_delivery,
        runner,
        face: None,
        status: AgentStatus::Approved,
        extended: draft.extended.as_ref().map(extended_text).transpose()?,
        created: None,
        changed: None,
    })
}

/// A row with what its owner wants changed, every field checked; what is left out stays.
pub(crate) fn change(mut row: AgentRow, wanted: &AgentChange) -> Result<AgentRow, ApiError> {
    if let Some(description) = &wanted.description {
        row.description = bounded(description, "the description")?;
    }
    if let Some(category) = &wanted.category {
        row.category = bounded(category, "the category")?;
    }
    if let Some(tags) = &wanted.tags {
        row.tags = tags_of(tags)?;
    }
    if let Some(price) = wanted.price {
        row.price = price;
    }
    if let Some(pricing) = wanted.pricing {
        row.pricing = model(pricing);
    }
    if let Some(regions) = &wanted.regions {
        row.regions = regions_of(regions)?;
    }
    if let Some(schema) = &wanted.input_schema {
        row.input_schema = Some(schema_text(schema)?);
    }
    if let Some(schema) = &wanted.output_schema {
        row.output_schema = Some(schema_text(schema)?);
    }
    if let Some(seconds) = wanted.deliver_within_seconds {
        row.deliver_within_secs = seconds;
    }
    if let Some(extended) = &wanted.extended {
        row.extended = Some(extended_text(extended)?);
    }
    Ok(row)
}

fn tags_of(given: &[String]) -> Result<List<Text<32>, 16>, ApiError> {
    let tags = given.iter().map(|tag| bounded(tag, "a tag")).collect::<Result<Vec<_>, _>>()?;
    tags.try_into().map_err(|_| too_long("the list of tags"))
}

/// Regions as listings have them, where everywhere is none at all.
fn regions_of(given: &[String]) -> Result<List<Text<16>, 8>, ApiError> {
    if given.iter().any(|region| region == EVERYWHERE) {
        return Ok(List::default());
    }
    let regions = given.iter().map(|region| bounded(region, "a region")).collect::<Result<Vec<_>, _>>()?;
    regions.try_into().map_err(|_| too_long("the list of regions"))
}

const fn model(pricing: PriceFor) -> PricingModel {
    match pricing {
        PriceFor::PerCall => PricingModel::PerCall,
        PriceFor::Outcome => PricingModel::Outcome,
    }
}

fn schema_text(schema: &Value) -> Result<SchemaText, ApiError> {
    bounded(&schema.to_string(), "a schema")
}

fn extended_text<const N: usize>(extended: &Value) -> Result<Text<N>, ApiError> {
    let text = extended.is_object().then(|| extended.to_string()).and_then(|text| Text::try_from(text).ok());
    text.ok_or_else(|| {
        ApiError::bad_request(
            "invalid_agent",
            "the extended card is no JSON object of at most 16 KiB",
            "give an object with the fields that the extended card adds or changes, such as skills",
        )
    })
}

pub(super) fn bounded<const N: usize>(text: &str, what: &'static str) -> Result<Text<N>, ApiError> {
    Text::try_from(text).map_err(|_| too_long(what))
}

fn too_long(what: &'static str) -> ApiError {
    ApiError::bad_request(
        "invalid_agent",
        format!("{what} is too long or holds control characters"),
        "shorten it: name 48 bytes, description 512, tag 32, region 16, schema 65536, at most 16 tags and 8 regions",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::{Seed, Usdc};
    use serde_json::json;

    fn echo() -> AgentRow {
        let draft = AgentDraft::new("echo").describe("Says it again.").tags(["old"]).units(5);
        row(Seed::devnet(7, 1).agent_key(1).did(), &draft, Runner::Embedded).unwrap()
    }

    #[test]
    fn a_change_touches_what_it_names_and_nothing_else() {
        assert_eq!(change(echo(), &AgentChange::default()).unwrap(), echo());
        let wanted = AgentChange { price: Some(Usdc::from_units(7)), tags: Some(Vec::new()), ..AgentChange::default() };
        let changed = change(echo(), &wanted).unwrap();
        assert_eq!((changed.price, changed.tags.len()), (Usdc::from_units(7), 0));
        assert_eq!(
            (&changed.description, changed.did, changed.status),
            (&echo().description, echo().did, echo().status)
        );
        let schema = AgentChange { output_schema: Some(json!({"type": "string"})), ..AgentChange::default() };
        assert_eq!(change(echo(), &schema).unwrap().output_schema.unwrap().as_str(), r#"{"type":"string"}"#);
    }

    #[test]
    fn global_is_everywhere_and_no_region_too() {
        for (given, held) in
            [(&["eu", "us"][..], &["eu", "us"][..]), (&["global"], &[]), (&["eu", "global"], &[]), (&[], &[])]
        {
            let regions = Some(given.iter().map(|&region| region.to_owned()).collect());
            let changed = change(echo(), &AgentChange { regions, ..AgentChange::default() }).unwrap();
            let regions: Vec<&str> = changed.regions.iter().map(|region| region.as_str()).collect();
            assert_eq!(regions, held, "{given:?}");
        }
    }

    #[test]
    fn what_does_not_fit_a_row_is_refused() {
        let none = AgentChange::default;
        for wanted in [
            AgentChange { description: Some("x".repeat(513)), ..none() },
            AgentChange { category: Some("x".repeat(65)), ..none() },
            AgentChange { tags: Some(vec!["x".repeat(33)]), ..none() },
            AgentChange { tags: Some(vec!["x".to_owned(); 17]), ..none() },
            AgentChange { regions: Some(vec!["x".repeat(17)]), ..none() },
            AgentChange { regions: Some(vec!["x".to_owned(); 9]), ..none() },
            AgentChange { input_schema: Some(json!("x".repeat(65_536))), ..none() },
            AgentChange { extended: Some(json!([])), ..none() },
        ] {
            assert_eq!(change(echo(), &wanted).unwrap_err().code, "invalid_agent", "{wanted:?}");
        }
    }
}
