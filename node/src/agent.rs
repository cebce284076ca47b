//! What an agent is to the node that serves it: a draft for the market and a function that works.

use haggle_base::Usdc;
use haggle_gateway::view::PriceFor;
use serde_json::Value;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What an agent looks like on the market, before its node signs it.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentDraft {
    /// Name of the agent and its listing: 1 to 48 of `a-z`, `0-9`, `-`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Primary category; it decides the shard.
    pub category: String,
    /// At most 16 tags.
    pub tags: Vec<String>,
    /// Price of one call; zero is free and needs no order.
    pub price: Usdc,
    /// What the price is for.
    pub pricing: PriceFor,
    /// Where it is offered, at most eight words such as `eu`; none, or `global`, means everywhere.
    pub regions: Vec<String>,
    /// JSON Schema of the input.
    pub input_schema: Option<Value>,
    /// JSON Schema of the output, which the buyer's node checks before it releases money.
    pub output_schema: Option<Value>,
    /// Promised time between funding and delivery.
    pub deliver_within: Duration,
    /// Whether this node posts an on-chain delivery when a buyer stays silent (an honest provider does).
    pub posts_delivery: bool,
    /// What the A2A card says beyond the public one to callers who say who they are: an object of card fields, in which
    /// `skills` are added to the public one. At most 16 KiB.
    pub extended: Option<Value>,
}

impl AgentDraft {
    /// A free agent of category `tools` that promises delivery within five minutes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            category: "tools".to_owned(),
            tags: Vec::new(),
            price: Usdc::ZERO,
            pricing: PriceFor::PerCall,
            regions: Vec::new(),
            input_schema: None,
            output_schema: None,
            deliver_within: Duration::from_secs(300),
            posts_delivery: true,
            extended: None,
        }
    }

    /// Sets the description.
    #[must_use]
    pub fn describe(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// Sets the primary category.
    #[must_use]
    pub fn category(mut self, category: &str) -> Self {
        category.clone_into(&mut self.category);
        self
    }

    /// Sets the tags.
    #[must_use]
    pub fn tags<'a>(mut self, tags: impl IntoIterator<Item = &'a str>) -> Self {
        self.tags = tags.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets the price of one call.
    #[must_use]
    pub const fn price(mut self, price: Usdc) -> Self {
        self.price = price;
        self
    }

    /// Sets the price in base units (millionths of a USDC).
    #[must_use]
    pub const fn units(self, units: u64) -> Self {
        self.price(Usdc::from_units(units))
    }

    /// Takes the price for a result that fits the output schema, and for nothing else.
    #[must_use]
    pub const fn by_outcome(mut self) -> Self {
        self.pricing = PriceFor::Outcome;
        self
    }

    /// Sets where it is offered.
    #[must_use]
    pub fn regions<'a>(mut self, regions: impl IntoIterator<Item = &'a str>) -> Self {
        self.regions = regions.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets both JSON Schemas.
    #[must_use]
    pub fn schemas(mut self, input: Value, output: Value) -> Self {
        self.input_schema = Some(input);
        self.output_schema = Some(output);
        self
    }

    /// Sets the promised time between funding and delivery.
    #[must_use]
    pub const fn deliver_within(mut self, time: Duration) -> Self {
        self.deliver_within = time;
        self
    }

    /// Sets what the extended card says beyond the public one.
    #[must_use]
    pub fn extended(mut self, extended: Value) -> Self {
        self.extended = Some(extended);
        self
    }

    /// Makes an agent that never posts a delivery on chain, as the built-in `liar` does.
    #[must_use]
    pub const fn never_posts_delivery(mut self) -> Self {
        self.posts_delivery = false;
        self
    }
}

/// The future of one call.
pub type Working = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// An agent's work as a function: input and call id in, output or a sentence for the buyer out.
#[derive(Clone)]
pub struct Worker(Arc<dyn Fn(Value, String) -> Working + Send + Sync>);

impl Worker {
    /// Wraps a closure. The second argument is the call's id: the same call repeated has the same id.
    pub fn new<F, W>(work: F) -> Self
    where
        F: Fn(Value, String) -> W + Send + Sync + 'static,
        W: Future<Output = Result<Value, String>> + Send + 'static,
    {
        Self(Arc::new(move |input, call| Box::pin(work(input, call))))
    }

    /// The built-in agent of that name.
    #[must_use]
    pub fn builtin(name: &str) -> Self {
        let name = name.to_owned();
        Self::new(move |input, call| {
            let name = name.clone();
            async move { crate::builtin::run(&name, &input, &call).await }
        })
    }

    /// Does the work.
    pub fn work(&self, input: Value, call: String) -> Working {
        (self.0)(input, call)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}
