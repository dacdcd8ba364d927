//! What a target's number is in the documents of its program.

use serde_json::Value;

use super::targets::{Aim, Target};

/// The median of a target's values, with the least and the most of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) floor: Option<f64>,
}

impl Measured {
    /// None: the number is not there.
    pub(crate) fn of(target: &Target, documents: &[Value]) -> Option<Self> {
        let mut values = Vec::new();
        for document in documents {
            let (value, least, most) = find(document, target.value)?;
            values.push([value, least, most].map(|number| number / target.per));
        }
        values.sort_by(|one, other| one[0].total_cmp(&other[0]));
        let floor = match target.floor {
            None => None,
            Some(floor) => Some(find(documents.first()?, floor)?.0 / target.per),
        };
        Some(Self {
            value: values.get(values.len() / 2)?[0],
            least: values.iter().map(|one| one[1]).min_by(f64::total_cmp)?,
            most: values.iter().map(|one| one[2]).max_by(f64::total_cmp)?,
            floor,
        })
    }

    /// How it stands to its floor.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.floor.map(|floor| self.value / floor)
    }

    pub(crate) fn meets(&self, aim: Aim) -> bool {
        match aim {
            Aim::AtMost(most) => self.value <= most,
            Aim::AtLeast(least) => self.value >= least,
            Aim::TimesFloor(times) => self.ratio().is_some_and(|ratio| ratio <= times),
        }
    }
}

/// A number by JSON pointer, or by the name of its row, with its spread.
fn find(document: &Value, name: &str) -> Option<(f64, f64, f64)> {
    if name.starts_with('/') {
        let value = document.pointer(name)?.as_f64()?;
        return Some((value, value, value));
    }
    let rows = document.get("rows")?.as_array()?;
    let row = rows.iter().find(|row| row["name"] == name)?;
    let value = row["value"].as_f64()?;
    let spread = |nth: usize| row["spread"][nth].as_f64().unwrap_or(value);
    Some((value, spread(0), spread(1)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(value: &'static str, floor: Option<&'static str>, aim: Aim) -> Target {
        Target { what: "", value, floor, per: 10.0, unit: "", aim }
    }

    #[test]
    fn rows_have_their_own_spread_and_runs_give_one_together() {
        let rows = json!({"rows": [
            {"name": "cost", "value": 110, "spread": [90, 130]}, {"name": "floor", "value": 100},
        ]});
        let measured = Measured::of(
            &target("cost", Some("floor"), Aim::TimesFloor(1.1)),
            std::slice::from_ref(&rows),
        );
        let measured = measured.unwrap();
        assert_eq!((measured.value, measured.least, measured.most), (11.0, 9.0, 13.0));
        assert_eq!(measured.ratio(), Some(1.1));
        assert!(measured.meets(Aim::TimesFloor(1.1)) && !measured.meets(Aim::TimesFloor(1.09)));

        let runs: Vec<_> = [30, 10, 20].map(|p99| json!({"latency": {"p99": p99}})).into();
        let measured = Measured::of(&target("/latency/p99", None, Aim::AtMost(2.0)), &runs);
        let measured = measured.unwrap();
        assert_eq!((measured.value, measured.least, measured.most), (2.0, 1.0, 3.0));
        assert!(measured.meets(Aim::AtMost(2.0)) && measured.meets(Aim::AtLeast(2.0)));
        assert!(!measured.meets(Aim::AtMost(1.9)) && !measured.meets(Aim::AtLeast(2.1)));
    }

    #[test]
    fn what_is_not_there_is_no_number() {
        let empty = [json!({"rows": []})];
        assert_eq!(Measured::of(&target("cost", None, Aim::AtMost(1.0)), &empty), None);
        assert_eq!(Measured::of(&target("/cost", None, Aim::AtMost(1.0)), &empty), None);
    }
}
