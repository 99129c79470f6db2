import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;

/** The JSON of Neon's API, with every field that its OpenAPI document requires: https://neon.com/api_spec/release/v2.json. */
final class SandboxNeonJson {

    private SandboxNeonJson() {
    }

    static ObjectNode error(String requestId, String code, String message) {
        return SandboxJson.object("""
                {"request_id": %s, "code": %s, "message": %s}""", requestId, code, message);
    }

    static ObjectNode branch(SandboxBranch branch, String state) {
        return SandboxJson.object("""
                {"id": %s, "project_id": %s, "parent_id": %s, "parent_lsn": %s, "name": %s, "current_state": %s, "pending_state": %s,
                 "state_changed_at": %s, "creation_source": "console", "default": %s, "primary": %s, "protected": %s, "cpu_used_sec": 0,
                 "compute_time_seconds": 0, "active_time_seconds": 0, "written_data_bytes": 0, "data_transfer_bytes": 0,
                 "logical_size": 30842880, "created_at": %s, "updated_at": %s, "init_source": %s, "expires_at": %s, "last_reset_at": %s,
                 "restricted_actions": %s}""",
                branch.id, SandboxNeon.PROJECT_ID, branch.parentId, branch.parentId == null ? null : "0/1E19478", branch.name, state,
                "ready".equals(state) || branch.state != null ? null : "ready", branch.createdAt, branch.isDefault, branch.isDefault,
                branch.isProtected, branch.createdAt, branch.updatedAt, branch.initSource, branch.expiresAt, branch.lastResetAt,
                branch.masking == null ? null : List.of(Map.of("name", "restore", "reason", "the branch is anonymized")));
    }

    static ObjectNode masking(SandboxBranch branch, SandboxMasking masking) {
        return SandboxJson.object("""
                {"project_id": %s, "branch_id": %s, "state": %s, "status_message": %s, "created_at": %s, "updated_at": %s,
                 "failed_at": %s}""", SandboxNeon.PROJECT_ID, branch.id, masking.state, masking.message, masking.createdAt,
                masking.updatedAt, masking.state.endsWith("error") ? masking.updatedAt : null);
    }

    static ObjectNode maskingRules(List<SandboxMasking.Rule> rules) {
        return SandboxJson.object("{\"masking_rules\": %s}", rules.stream().map(rule -> SandboxJson.object("""
                {"database_name": %s, "schema_name": %s, "table_name": %s, "column_name": %s, "masking_function": %s,
                 "masking_value": %s}""",
                rule.database(), rule.schema(), rule.table(), rule.column(), rule.function(), rule.value())).toList());
    }

    static ObjectNode annotation(SandboxBranch branch) {
        return SandboxJson.object("""
                {"object": {"type": "console/branch", "id": %1$s}, "value": %2$s, "created_at": %3$s, "updated_at": %3$s}""",
                branch.id, branch.annotation, branch.createdAt);
    }

    static ObjectNode endpoint(SandboxBranch branch, SandboxBranch.Compute compute, String host, boolean started) {
        return SandboxJson.object("""
                {"host": %s, "id": %s, "project_id": %s, "branch_id": %s, "autoscaling_limit_min_cu": 0.25,
                 "autoscaling_limit_max_cu": 2, "region_id": "aws-eu-central-1", "type": %s, "current_state": %s, "pending_state": %s,
                 "settings": {"pg_settings": {}}, "pooler_enabled": false, "pooler_mode": "transaction", "disabled": %s,
                 "passwordless_access": true, "creation_source": "console", "created_at": %s, "updated_at": %s, "proxy_host": %s,
                 "suspend_timeout_seconds": %s, "provisioner": "k8s-neonvm"}""",
                host, compute.id(), SandboxNeon.PROJECT_ID, branch.id, compute.type(), started ? "active" : "init",
                started ? null : "active", compute.isDisabled(), compute.createdAt(), compute.createdAt(),
                host.replace(compute.id() + ".", ""), compute.suspendTimeout());
    }

    static ObjectNode role(SandboxBranch branch, String name) {
        return SandboxJson.object("""
                {"branch_id": %s, "name": %s, "protected": %s, "authentication_method": "password", "created_at": %4$s,
                 "updated_at": %4$s}""", branch.id, name, name.equals("web_access"), branch.createdAt);
    }

    static ObjectNode database(SandboxBranch branch, String name, String owner) {
        return SandboxJson.object("""
                {"id": %s, "branch_id": %s, "name": %s, "owner_name": %s, "created_at": %5$s, "updated_at": %5$s}""",
                Integer.toUnsignedLong((branch.id + name).hashCode()), branch.id, name, owner, branch.createdAt);
    }

    static ObjectNode operation(SandboxOperation operation) {
        return SandboxJson.object("""
                {"id": %s, "project_id": %s, "branch_id": %s, "endpoint_id": %s, "action": %s, "status": %s, "failures_count": %s,
                 "error": %s, "created_at": %9$s, "updated_at": %9$s, "total_duration_ms": 100}""",
                operation.id, SandboxNeon.PROJECT_ID, operation.branchId, operation.endpointId, operation.action, operation.status(),
                operation.error() == null ? 0 : 1, operation.error(), operation.createdAt);
    }

    static ObjectNode connection(String uri, String database, String role, String password, String host, String poolerHost) {
        return SandboxJson.object("""
                {"connection_uri": %s, "connection_parameters":
                    {"database": %s, "password": %s, "role": %s, "host": %s, "pooler_host": %s}}""",
                uri, database, role, password, host, poolerHost);
    }
}
