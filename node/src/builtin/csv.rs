//! `csv`: statistics of every column of a CSV document.

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::str::FromStr;

/// Most columns read.
const MAX_COLUMNS: usize = 256;
/// Distinct values are counted up to here.
const MAX_DISTINCT: usize = 10_000;

/// Reads `{"csv": …}`: RFC 4180 with a header line.
pub(super) fn run(input: &Value) -> Result<Value, String> {
    let text =
        input.get("csv").and_then(Value::as_str).ok_or("the input needs a member \"csv\" that holds the table")?;
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|cause| format!("the header line is not CSV: {cause}"))?;
    if header.is_empty() || header.len() > MAX_COLUMNS {
        return Err(format!("the table needs 1 to {MAX_COLUMNS} columns"));
    }
    let names: Vec<String> = header.iter().map(str::to_owned).collect();
    let mut columns = vec![Column::default(); names.len()];
    let mut rows = 0_u64;
    for row in reader.records() {
        let row = row.map_err(|cause| format!("the table is not CSV: {cause}"))?;
        rows += 1;
        for (column, cell) in columns.iter_mut().zip(row.iter()) {
            column.take(cell.trim());
        }
    }
    let columns: Map<String, Value> = names.into_iter().zip(columns.iter().map(Column::summary)).collect();
    Ok(json!({"rows": rows, "columns": columns}))
}

#[derive(Clone, Debug, Default)]
struct Column {
    count: u64,
    empty: u64,
    distinct: BTreeSet<String>,
    numbers: u64,
    sum: Decimal,
    least: Option<Decimal>,
    greatest: Option<Decimal>,
}

impl Column {
    fn take(&mut self, cell: &str) {
        if cell.is_empty() {
            self.empty += 1;
            return;
        }
        self.count += 1;
        if self.distinct.len() < MAX_DISTINCT {
            self.distinct.insert(cell.to_owned());
        }
        let Ok(number) = Decimal::from_str(cell) else {
            return;
        };
        // a sum too large for a decimal leaves the column without a mean, not with a wrong one
        let Some(sum) = self.sum.checked_add(number) else {
            return;
        };
        self.sum = sum;
        self.numbers += 1;
        self.least = Some(self.least.map_or(number, |least| least.min(number)));
        self.greatest = Some(self.greatest.map_or(number, |greatest| greatest.max(number)));
    }

    fn summary(&self) -> Value {
        let mut summary = json!({
            "count": self.count,
            "empty": self.empty,
            "distinct": self.distinct.len(),
        });
        if self.numbers > 0
            && self.numbers == self.count
            && let (Some(least), Some(greatest), Some(mean)) =
                (self.least, self.greatest, self.sum.checked_div(Decimal::from(self.numbers)))
        {
            summary["least"] = json!(least.normalize().to_string());
            summary["greatest"] = json!(greatest.normalize().to_string());
            summary["mean"] = json!(mean.round_dp(6).normalize().to_string());
        }
        summary
    }
}

/// What a buyer may hold the answer against.
pub(super) fn output_schema() -> Value {
    json!({
        "type": "object",
        "required": ["rows", "columns"],
        "properties": {
            "rows": {"type": "integer", "minimum": 0},
            "columns": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": ["count", "empty", "distinct"]
                }
            }
        }
    })
}
