//! Affinity, and the selectors in it.

use super::{Checker, Field, names, not_a_name};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

impl Checker<'_> {
    pub(super) fn affinity(&mut self, affinity: &Field<'_>) {
        if let Some(node) = affinity.get("nodeAffinity") {
            if let Some(required) = node.get(REQUIRED) {
                let terms = required.list("nodeSelectorTerms");
                if terms.is_empty() {
                    self.add(required.path.clone(), "needs at least one of nodeSelectorTerms");
                }
                for term in terms {
                    self.node_term(&term);
                }
            }
            for preferred in node.list(PREFERRED) {
                self.range(&preferred, "weight", 1, 100);
                if let Some(preference) = preferred.get("preference") {
                    self.node_term(&preference);
                }
            }
        }
        for key in ["podAffinity", "podAntiAffinity"] {
            let Some(pods) = affinity.get(key) else { continue };
            for term in pods.list(REQUIRED) {
                self.pod_term(&term);
            }
            for preferred in pods.list(PREFERRED) {
                self.range(&preferred, "weight", 1, 100);
                if let Some(term) = preferred.get("podAffinityTerm") {
                    self.pod_term(&term);
                }
            }
        }
    }

    fn node_term(&mut self, term: &Field<'_>) {
        for expression in term.list("matchExpressions") {
            self.expression(&expression, true);
            self.form(&expression, "key", names::is_qualified, names::QUALIFIED);
        }
        for expression in term.list("matchFields") {
            self.one_of(&expression, "key", &["metadata.name"]);
            self.one_of(&expression, "operator", &["In", "NotIn"]);
            if expression.texts("values").len() != 1 {
                self.add(expression.path.clone(), "needs exactly one of values");
            }
        }
    }

    fn pod_term(&mut self, term: &Field<'_>) {
        self.form(term, "topologyKey", names::is_qualified, names::QUALIFIED);
        for key in ["labelSelector", "namespaceSelector"] {
            if let Some(selector) = term.get(key) {
                self.selector(&selector);
            }
        }
        for namespace in term.texts("namespaces") {
            if !names::is_label(namespace) {
                self.add(term.path_to("namespaces"), not_a_name(namespace, names::LABEL));
            }
        }
    }

    /// A selector over labels.
    pub(super) fn selector(&mut self, selector: &Field<'_>) {
        self.selected_labels(selector, "matchLabels");
        for expression in selector.list("matchExpressions") {
            self.expression(&expression, false);
            self.form(&expression, "key", names::is_qualified, names::QUALIFIED);
        }
    }

    /// An operator with as many values as it takes.
    fn expression(&mut self, expression: &Field<'_>, over_nodes: bool) {
        let operators: &[&str] = if over_nodes {
            &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
        } else {
            &["In", "NotIn", "Exists", "DoesNotExist"]
        };
        self.one_of(expression, "operator", operators);
        let values = expression.texts("values");
        let operator = expression.text("operator").unwrap_or_default();
        let message = match operator {
            "In" | "NotIn" if values.is_empty() => "needs at least one of values",
            "Exists" | "DoesNotExist" if !values.is_empty() => "takes no values",
            "Gt" | "Lt" if !matches!(values.as_slice(), [one] if one.parse::<i64>().is_ok()) => {
                "needs exactly one whole number in values"
            }
            _ => "",
        };
        if !message.is_empty() {
            self.add(expression.path.clone(), format!("operator {operator} {message}"));
        }
        for value in values.into_iter().filter(|value| !names::is_label_value(value)) {
            self.add(expression.path_to("values"), not_a_name(value, names::LABEL_VALUE));
        }
    }
}
