import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.List;

/**
 * Writes the sandbox's Neon project as Neon's OpenAPI document says, every required field included:
 * https://neon.com/api_spec/release/v2.json. What a field means to the sandbox is decided elsewhere.
 */
final class SandboxNeonJson {

    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    private final String projectId;

    SandboxNeonJson(String projectId) {
        this.projectId = projectId;
    }

    /** Returns an object of one field, the way Neon wraps every answer. */
    static ObjectNode wrap(String field, ObjectNode value) {
        ObjectNode node = JSON.objectNode();
        node.set(field, value);
        return node;
    }

    static ArrayNode array(List<ObjectNode> values) {
        return JSON.arrayNode().addAll(values);
    }

    static ObjectNode error(String requestId, String code, String message) {
        return JSON.objectNode().put("request_id", requestId).put("code", code).put("message", message);
    }

    ObjectNode project(int branchesLimit, Instant createdAt) {
        ObjectNode project = JSON.objectNode()
                .put("id", projectId)
                .put("platform_id", "aws")
                .put("region_id", "aws-eu-central-1")
                .put("name", "sandbox")
                .put("provisioner", "k8s-neonvm")
                .put("pg_version", 17)
                .put("proxy_host", "eu-central-1.aws.neon.invalid")
                .put("branch_logical_size_limit", 512)
                .put("branch_logical_size_limit_bytes", 536870912)
                .put("store_passwords", true)
                .put("active_time_seconds", 0)
                .put("compute_time_seconds", 0)
                .put("cpu_used_sec", 0)
                .put("written_data_bytes", 0)
                .put("data_transfer_bytes", 0)
                .put("data_storage_bytes_hour", 0)
                .put("creation_source", "console")
                .put("history_retention_seconds", 86400)
                .put("created_at", createdAt.toString())
                .put("updated_at", createdAt.toString())
                .put("consumption_period_start", createdAt.toString())
                .put("consumption_period_end", createdAt.plusSeconds(30 * 86400L).toString())
                .put("owner_id", "org-quiet-sandbox-00000000");
        project.putObject("owner")
                .put("email", "owner@example.com")
                .put("name", "sandbox")
                .put("branches_limit", branchesLimit)
                .put("subscription_type", "launch_v3");
        return project;
    }

    ObjectNode branch(SandboxBranch branch, String state) {
        ObjectNode node = JSON.objectNode().put("id", branch.id).put("project_id", projectId);
        if (branch.parentId != null) {
            node.put("parent_id", branch.parentId).put("parent_lsn", "0/1E19478");
        }
        node.put("name", branch.name).put("current_state", state);
        if (!"ready".equals(state) && branch.state == null) {
            node.put("pending_state", "ready");
        }
        node.put("state_changed_at", branch.stateChangedAt.toString())
                .put("creation_source", "console")
                .put("default", branch.isDefault)
                .put("primary", branch.isDefault)
                .put("protected", branch.isProtected)
                .put("cpu_used_sec", 0)
                .put("compute_time_seconds", 0)
                .put("active_time_seconds", 0)
                .put("written_data_bytes", 0)
                .put("data_transfer_bytes", 0)
                .put("logical_size", 30842880)
                .put("created_at", branch.createdAt.toString())
                .put("updated_at", branch.updatedAt.toString())
                .put("init_source", branch.initSource);
        if (branch.expiresAt != null) {
            node.put("expires_at", branch.expiresAt.toString());
        }
        if (branch.lastResetAt != null) {
            node.put("last_reset_at", branch.lastResetAt.toString());
        }
        return node;
    }

    ObjectNode annotation(SandboxBranch branch) {
        ObjectNode node = JSON.objectNode();
        node.putObject("object").put("type", "console/branch").put("id", branch.id);
        ObjectNode value = node.putObject("value");
        branch.annotation.forEach(value::put);
        return node.put("created_at", branch.createdAt.toString()).put("updated_at", branch.createdAt.toString());
    }

    ObjectNode endpoint(SandboxBranch branch, SandboxBranch.Compute compute, String host, boolean started) {
        ObjectNode node = JSON.objectNode()
                .put("host", host)
                .put("id", compute.id())
                .put("project_id", projectId)
                .put("branch_id", branch.id)
                .put("autoscaling_limit_min_cu", 0.25)
                .put("autoscaling_limit_max_cu", 2)
                .put("region_id", "aws-eu-central-1")
                .put("type", compute.type())
                .put("current_state", started ? "active" : "init");
        if (!started) {
            node.put("pending_state", "active");
        }
        node.putObject("settings").putObject("pg_settings");
        return node.put("pooler_enabled", false)
                .put("pooler_mode", "transaction")
                .put("disabled", false)
                .put("passwordless_access", true)
                .put("creation_source", "console")
                .put("created_at", compute.createdAt().toString())
                .put("updated_at", compute.createdAt().toString())
                .put("proxy_host", host.substring(host.indexOf('.') + 1))
                .put("suspend_timeout_seconds", compute.suspendTimeout())
                .put("provisioner", "k8s-neonvm");
    }

    ObjectNode role(SandboxBranch branch, String name) {
        return JSON.objectNode()
                .put("branch_id", branch.id)
                .put("name", name)
                .put("protected", false)
                .put("authentication_method", "password")
                .put("created_at", branch.createdAt.toString())
                .put("updated_at", branch.createdAt.toString());
    }

    ObjectNode database(SandboxBranch branch, String name, String owner) {
        return JSON.objectNode()
                .put("id", Integer.toUnsignedLong((branch.id + name).hashCode()))
                .put("branch_id", branch.id)
                .put("name", name)
                .put("owner_name", owner)
                .put("created_at", branch.createdAt.toString())
                .put("updated_at", branch.createdAt.toString());
    }

    ObjectNode operation(SandboxOperation operation) {
        ObjectNode node = JSON.objectNode()
                .put("id", operation.id)
                .put("project_id", projectId)
                .put("branch_id", operation.branchId);
        if (operation.endpointId != null) {
            node.put("endpoint_id", operation.endpointId);
        }
        node.put("action", operation.action)
                .put("status", operation.status())
                .put("failures_count", operation.error() == null ? 0 : 1);
        if (operation.error() != null) {
            node.put("error", operation.error());
        }
        return node.put("created_at", operation.createdAt.toString())
                .put("updated_at", operation.createdAt.toString())
                .put("total_duration_ms", operation.milliseconds());
    }

    static ObjectNode pagination(String next, String sortBy, String sortOrder) {
        ObjectNode node = JSON.objectNode();
        if (next != null) {
            node.put("next", next);
        }
        return node.put("sort_by", sortBy).put("sort_order", sortOrder);
    }

    static ObjectNode connection(String uri, String database, String role, String password, String host, String poolerHost) {
        ObjectNode node = JSON.objectNode().put("connection_uri", uri);
        node.putObject("connection_parameters")
                .put("database", database)
                .put("password", password)
                .put("role", role)
                .put("host", host)
                .put("pooler_host", poolerHost);
        return node;
    }
}
