import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Says what becomes of an app's Neon branches, a line each, and lists it for json mode. */
final class CleanupReport {

    private final SharedOptions shared;
    private final ObjectNode json = Http.JSON.createObjectNode();
    private final Set<String> errors = new HashSet<>();

    CleanupReport(SharedOptions shared) {
        this.shared = shared;
        List.of("deleted", "expiring", "kept", "failed").forEach(json::putArray);
    }

    /** Says which branches are orphans and which stay; the live ones, which are no news, only by their number. */
    void begin(CleanupPlan plan) {
        int live = 0;
        for (CleanupPlan.Kept kept : plan.kept()) {
            if (kept.reason().equals(Protection.LIVE)) {
                live++;
                list(kept);
            } else {
                keeps(kept);
            }
        }
        shared.say("Neon branches of app " + shared.appId + ": " + live + " with an Amplify branch, "
                + (plan.kept().size() - live) + " kept, " + (plan.remove().size() + plan.expiring().size()) + " orphaned.");
        plan.expiring().forEach(branch -> expires(branch, branch.expiresAt()));
    }

    /** @param expiresAt null for a deletion */
    void wouldRemove(NeonApi.Branch branch, String expiresAt) {
        shared.say(expiresAt == null ? "Would delete " + branch.label() + "."
                : "Would let " + branch.label() + " expire on " + expiresAt + ".");
        if (expiresAt == null) {
            list("deleted", branch);
        } else {
            list("expiring", branch).put("expires_at", expiresAt);
        }
    }

    /** @param isOurDoing whether this run was to delete it, which others may have done before it all the same */
    void gone(NeonApi.Branch branch, boolean isOurDoing) {
        shared.say(isOurDoing ? "Deleted " + branch.label() + "." : branch.label() + " is gone already.");
        list("deleted", branch);
    }

    void expires(NeonApi.Branch branch, String expiresAt) {
        shared.say(branch.label() + " expires on " + expiresAt + ".");
        list("expiring", branch).put("expires_at", expiresAt);
    }

    void keeps(CleanupPlan.Kept kept) {
        shared.say("Keeping '" + kept.branch().name() + "': " + kept.reason() + ".");
        list(kept);
    }

    /** Says an error that many branches share only once. */
    void failed(NeonApi.Branch branch, String error) {
        if (errors.add(error)) {
            shared.warn(error);
        }
        list("failed", branch).put("error", error);
    }

    int failures() {
        return json.path("failed").size();
    }

    ObjectNode json() {
        return json;
    }

    private void list(CleanupPlan.Kept kept) {
        list("kept", kept.branch()).put("reason", kept.reason());
    }

    private ObjectNode list(String list, NeonApi.Branch branch) {
        return json.withArray(list).addObject().put("id", branch.id()).put("name", branch.name());
    }
}
