//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code cleanup-branches} prints and requests. Which branches it may delete is in CleanupPlanTest. */
class CleanupBranchesTest extends InSandbox {

    private static final String APP = SandboxAws.APP_ID;

    @Test
    void deletes_only_the_orphans_of_this_app_and_nothing_the_second_time() {
        branches(APP + "-feature/login", APP + "-feature/old", APP + "-main", "staging", "feature/old", "d9-feature/old", APP);
        String id = sandbox.neon().branch(APP + "-feature/old").id;
        Cli.Result result = cleanUp();
        assertTrue(result.out().contains("\nDeleted '" + APP + "-feature/old' (" + id + ").\n"), result.out());
        assertEquals("", result.err());
        assertEquals(0, result.exitCode());
        assertEquals(List.of("production", APP + "-feature/login", APP + "-main", "staging", "feature/old", "d9-feature/old", APP),
                sandbox.neon().names());
        assertEquals(List.of(), deleted(cleanUp()));
        assertEquals(List.of(Map.of()), requests("DELETE", "").stream().map(Exchange::query).toList(), "Neon can undo a deletion");
    }

    @Test
    void prints_what_it_keeps_and_why() {
        branches(APP + "-release/1", APP + "-precious", APP + "-fix", APP + "-pr-7");
        sandbox.neon().branch(APP + "-precious").makeProtected();
        sandbox.aws().pullRequest(7, "fix");
        Cli.Result result = cleanUp("--keep", "release/*");
        assertEquals(List.of("'" + APP + "-precious': it is protected.", "'" + APP + "-release/1': --keep 'release/*'."),
                result.out().lines().filter(line -> line.startsWith("Keeping ")).map(line -> line.substring("Keeping ".length())).toList());
        assertEquals(List.of(), deleted(result));
    }

    @Test
    void a_dry_run_prints_the_plan_and_deletes_nothing() {
        branches(APP + "-feature/old");
        Cli.Result result = cleanUp("--dry-run");
        String id = sandbox.neon().branch(APP + "-feature/old").id;
        assertTrue(result.out().contains("\nWould delete '" + APP + "-feature/old' (" + id + ").\n"), result.out());
        assertEquals("", result.err());
        assertEquals(List.of(), changes());
    }

    @Test
    void refuses_a_plan_of_too_many_deletions_as_a_whole() {
        for (int i = 0; i < 21; i++) {
            branches(APP + "-old-" + i);
        }
        for (String option : List.of("--verbose", "--max-deletions=0", "--grace=3d", "--dry-run")) {
            Cli.Result refused = cleanUp(option);
            assertTrue(refused.err().contains("--max-deletions 21"), refused.err());
            assertEquals(option.equals("--dry-run"), refused.out().contains("Would delete "), refused.out());
            assertEquals(1, refused.exitCode());
        }
        assertEquals(List.of(), changes());
        assertEquals(0, cleanUp("--max-deletions", "21").exitCode());
        assertEquals(List.of("production"), sandbox.neon().names());
    }

    @Test
    void refuses_a_list_of_amplify_that_cannot_be_whole() {
        branches(APP + "-feature/old");
        sandbox.aws().removeBranch("feature/login");
        Cli.Result result = cleanUp();
        assertTrue(result.err().contains("'feature/login'"), result.err());
        assertEquals(1, result.exitCode());
        assertEquals(List.of(), changes());
        // A build of another app, or a laptop, has no branch of its own here.
        assertEquals(List.of(APP + "-feature/old"), deleted(cleanUp(Map.of("AWS_APP_ID", "d9"), "--app-id", APP)));
    }

    /** Pages hold 1,000 Neon branches and 50 of Amplify's. */
    @Test
    void reads_every_page_of_neons_list_and_then_every_page_of_amplifys() {
        IntStream.range(0, 60).forEach(i -> sandbox.aws().branches("live-" + i));
        IntStream.range(0, 1_000).forEach(i -> branches(APP + "-live-" + i % 60));
        branches(APP + "-old");
        assertEquals(List.of(APP + "-old"), deleted(cleanUp()));
        // A branch that is created between the two lists is in the second one alone, and so is no orphan.
        List<String> lists = sandbox.exchanges().stream().map(Exchange::path).filter(path -> path.endsWith("/branches")).toList();
        assertTrue(lists.lastIndexOf(lists.get(0)) < lists.indexOf("/amplify/apps/" + APP + "/branches"), lists::toString);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"branches\":null}", "{\"branches\":{}}", "[]"})
    void deletes_nothing_when_a_page_of_neons_list_holds_no_list(String answer) {
        branches(APP + "-old");
        sandbox.fail("GET", "/api/.*/branches$", -1, Fault.status(200, answer, Map.of()));
        Cli.Result result = cleanUp("--wait", "1s");
        assertTrue(result.err().contains("neon-ci: Could not list the branches of "), result.err());
        assertEquals(1, result.exitCode());
        assertEquals(List.of(), changes());
    }

    @Test
    void an_empty_token_is_the_end_of_amplifys_list() {
        branches(APP + "-old");
        String answer = "{\"branches\":[{\"branchName\":\"feature/login\"}],\"nextToken\":\"\"}";
        sandbox.fail("GET", "/amplify/", 1, Fault.status(200, answer, Map.of()));
        assertEquals(List.of(APP + "-old"), deleted(cleanUp()));
    }

    /** A deletion whose answer is lost must be checked, or a branch that was deleted would be reported as failed. */
    @Test
    void starts_no_deletion_that_it_has_no_time_to_check() {
        branches(APP + "-old");
        Cli.Result result = cleanUp("--wait", "2s");
        assertTrue(result.err().endsWith("\nneon-ci: Could not delete 1 of 1 orphans; run again later.\n"), result.err());
        assertEquals(1, result.exitCode());
        assertEquals(List.of(), changes());
    }

    @Test
    void deletes_children_before_their_parents() {
        branches(APP + "-a");
        sandbox.neon().add(APP + "-b", APP + "-a");
        sandbox.neon().add(APP + "-c", APP + "-b");
        assertEquals(List.of(APP + "-c", APP + "-b", APP + "-a"), deleted(cleanUp()));
        assertEquals(List.of(200, 200, 200), statuses("DELETE", ""));
    }

    @Test
    void continues_after_a_failed_deletion_and_names_it() {
        branches(APP + "-a", APP + "-b");
        String child = sandbox.neon().add(APP + "-child", APP + "-a").id;
        sandbox.fail("DELETE", "/branches/" + child, -1, Fault.neon(403, "", "not permitted"));
        Cli.Result result = cleanUp("--output", "json");
        assertEquals(1, result.exitCode());
        JsonNode report = Cli.json(result.out());
        assertEquals(List.of(APP + "-b"), report.path("deleted").findValuesAsText("name"));
        assertEquals(List.of(APP + "-child", APP + "-a"), report.path("failed").findValuesAsText("name"));
        assertTrue(result.err().contains("Could not delete Neon branch '" + APP + "-child' (" + child + "): Neon answered 403"),
                result.err());
        assertTrue(result.err().contains("\nneon-ci: Could not delete 2 of 3 orphans"), result.err());
        assertEquals(List.of("production", APP + "-a", APP + "-child"), sandbox.neon().names());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            204 | ``
            404 | {"code":"","message":"branch not found"}
            404 | <html><body>Not Found</body></html>
            404 | {}
            200 | {}
            """)
    void only_the_next_list_shows_that_a_branch_was_deleted(int status, String body) {
        branches(APP + "-old");
        sandbox.fail("DELETE", "", 1, Fault.status(status, body, Map.of()));
        assertEquals(List.of(APP + "-old"), deleted(cleanUp()));
        assertEquals(List.of(status, 200), statuses("DELETE", ""));
    }

    @Test
    void grace_lets_orphans_expire_and_never_later_than_before() {
        branches(APP + "-feature/login", APP + "-gone", APP + "-soon", APP + "-late", APP + "-parent");
        Instant now = SandboxBranch.now();
        sandbox.neon().branch(APP + "-soon").expiresAt(now.plus(Duration.ofHours(1)));
        sandbox.neon().branch(APP + "-late").expiresAt(now.plus(Duration.ofDays(20)));
        sandbox.neon().add(APP + "-child", APP + "-parent");
        Cli.Result result = cleanUp("--grace", "3d");
        assertTrue(result.out().endsWith(expires("soon") + expires("child") + expires("gone") + expires("late")), result.out());
        assertEquals("", result.err());
        assertEquals(0, result.exitCode());
        for (String orphan : List.of("gone", "late", "child")) {
            Duration grace = Duration.between(now, sandbox.neon().branch(APP + "-" + orphan).expiresAt);
            assertTrue(grace.compareTo(Duration.ofDays(3)) >= 0 && grace.compareTo(Duration.ofDays(3).plusMinutes(2)) < 0, grace::toString);
        }
        assertEquals(now.plus(Duration.ofHours(1)), sandbox.neon().branch(APP + "-soon").expiresAt);
        assertNull(sandbox.neon().branch(APP + "-parent").expiresAt);

        sandbox.forgetExchanges();
        Cli.Result again = cleanUp("--grace", "5d", "--max-deletions", "0");
        assertTrue(again.out().endsWith(expires("child") + expires("gone") + expires("late") + expires("soon")), again.out());
        assertEquals(List.of(), changes());

        sandbox.neon().passTime(Duration.ofDays(4));
        assertEquals(List.of("production", APP + "-feature/login", APP + "-parent"), sandbox.neon().names());
        assertTrue(cleanUp("--grace", "3d").out().endsWith(expires("parent")));
    }

    /** A branch is deployed again while the clean-up sets its expiry: Neon would delete a live preview's database. */
    @ParameterizedTest(name = "PATCH {0}, then live before {1}; expired before: {2}")
    @CsvSource({"answered, the PATCH, false", "answered, the PATCH, true", "lost, the PATCH, false", "lost, the last list, false"})
    void a_branch_that_becomes_live_meanwhile_gets_its_previous_expiry_back(String answer, String moment, boolean isExpiring) {
        branches(APP + "-back");
        Instant previous = isExpiring ? SandboxBranch.now().plus(Duration.ofDays(20)) : null;
        sandbox.neon().branch(APP + "-back").expiresAt(previous);
        Runnable goLive = () -> sandbox.aws().branches("back");
        sandbox.when("PATCH", "", moment.equals("the PATCH") ? goLive
                : () -> sandbox.when("GET", "/amplify/", () -> sandbox.when("GET", "/api/.*/branches$", goLive)));
        if (answer.equals("lost")) {
            sandbox.fail("PATCH", "", 1, Fault.resetAfter());
        }
        Cli.Result result = cleanUp("--grace", "3d", "--output", "json");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(previous, sandbox.neon().branch(APP + "-back").expiresAt, result.err());
        assertEquals(List.of(), Cli.json(result.out()).path("expiring").findValuesAsText("name"));
        assertEquals(List.of(APP + "-back"), Cli.json(result.out()).path("kept").findValuesAsText("name"));
    }

    @Test
    void a_branch_that_becomes_live_gets_it_back_when_the_time_is_over_too() {
        branches(APP + "-back", APP + "-gone");
        sandbox.when("PATCH", "/" + sandbox.neon().branch(APP + "-back").id + "$", () -> sandbox.aws().branches("back"));
        sandbox.fail("PATCH", "/" + sandbox.neon().branch(APP + "-gone").id + "$", -1, Fault.locked());
        assertEquals(1, cleanUp("--grace", "3d", "--wait", "4s").exitCode());
        assertNull(sandbox.neon().branch(APP + "-back").expiresAt);
    }

    @Test
    void a_branch_that_is_renamed_meanwhile_is_kept() {
        branches(APP + "-old");
        sandbox.when("DELETE", "", () -> sandbox.neon().rename(APP + "-old", "mine"));
        sandbox.fail("DELETE", "", 1, Fault.locked());
        Cli.Result result = cleanUp();
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(List.of(), deleted(result));
        assertTrue(result.out().contains("Keeping '") && sandbox.neon().hasBranch("mine"), result.out());
    }

    /** Eight are deleted at a time, and then both lists are read again. */
    @ParameterizedTest
    @ValueSource(strings = {"Neon refuses", "Amplify refuses", "no branch", "not this branch"})
    void what_goes_wrong_after_the_first_deletions_does_not_deny_them(String change) {
        IntStream.range(0, 9).forEach(i -> branches(APP + "-old-" + i));
        sandbox.when("DELETE", "", () -> {
            switch (change) {
                case "Neon refuses" -> sandbox.fail("GET", "/api/.*/branches$", -1, Fault.neon(403, "", "not permitted"));
                case "Amplify refuses" -> sandbox.aws().deny("amplify:ListBranches");
                case "no branch" -> sandbox.aws().removeBranches();
                default -> sandbox.aws().removeBranch("feature/login");
            }
        });
        Cli.Result result = cleanUp();
        assertEquals(8, deleted(result).size(), result.out());
        assertEquals(1, result.exitCode());
        assertTrue(result.err().contains("\nneon-ci: Could not delete 1 of 9 orphans"), result.err());
        assertFalse(result.err().toLowerCase(Locale.ROOT).contains("nothing"), result.err());
    }

    /** A Neon project always has a default branch, so a list without one is not Neon's whole list. */
    @ParameterizedTest
    @ValueSource(strings = {"", "{\"id\":\"br-other\",\"name\":\"other\"}"})
    void a_later_list_without_a_default_branch_does_not_make_the_remaining_ones_deleted(String listed) {
        IntStream.range(0, 9).forEach(i -> branches(APP + "-old-" + i));
        sandbox.when("DELETE", "", () -> sandbox.fail("GET", "/api/.*/branches$", -1, Fault.status(200,
                "{\"branches\":[" + listed + "]}", Map.of())));
        Cli.Result result = cleanUp();
        assertEquals(9 - (sandbox.neon().names().size() - 1), deleted(result).size(), result.out());
        assertEquals(1, result.exitCode());
    }

    @Test
    void an_expiry_that_is_restored_is_not_called_cancelled() {
        branches(APP + "-back");
        Instant previous = SandboxBranch.now().plus(Duration.ofDays(20));
        sandbox.neon().branch(APP + "-back").expiresAt(previous);
        sandbox.when("PATCH", "", () -> sandbox.aws().branches("back"));
        Cli.Result result = cleanUp("--grace", "3d");
        assertEquals(previous, sandbox.neon().branch(APP + "-back").expiresAt);
        assertTrue(result.out().contains(previous.toString()) && !result.out().contains("Cancelled"), result.out());
    }

    @Test
    void a_dry_run_lists_the_live_branches_too_and_the_counts_name_all_kinds() {
        branches(APP + "-feature/login", APP + "-dev", APP + "-old");
        assertTrue(cleanUp("--dry-run").out().contains("'" + APP + "-feature/login': its Amplify branch exists"));
        Cli.Result result = cleanUp();
        assertTrue(result.out().contains(": 1 live, 1 protected, 1 orphaned.\n"), result.out());
        assertFalse(result.out().contains(APP + "-feature/login"), result.out());
    }

    @Test
    void warns_when_amplify_has_no_such_production_branch() {
        assertEquals("", cleanUp("--production-branch", "main").err());
        assertEquals("", cleanUp("--production-branch", "none").err());
        Cli.Result result = cleanUp("--production-branch", "Main");
        assertTrue(result.err().contains("'Main'") && result.err().contains("--production-branch"), result.err());
        assertEquals(0, result.exitCode());
    }

    @Test
    void reports_as_json() {
        branches(APP + "-old", APP + "-feature/login");
        SandboxBranch old = sandbox.neon().branch(APP + "-old");
        String live = sandbox.neon().branch(APP + "-feature/login").id;
        String report = """
                {"deleted":[%s],"expiring":[%s],"kept":[{"id":"%s","name":"d1a2b3c4d5e6f7-feature/login",\
                "reason":"its Amplify branch exists"}],"failed":[],"dry_run":%s}""";
        String orphan = "{\"id\":\"" + old.id + "\",\"name\":\"d1a2b3c4d5e6f7-old\"}";
        assertEquals(Cli.json(report.formatted(orphan, "", live, true)), json("--dry-run"));
        JsonNode expiring = json("--grace=3d", "--dry-run").path("expiring");
        assertEquals(List.of(old.name), expiring.findValuesAsText("name"));
        assertNull(old.expiresAt);
        for (int run = 0; run < 2; run++) {
            JsonNode graceful = json("--grace=3d");
            assertEquals(Cli.json(report.formatted("", orphan.replace("}", ",\"expires_at\":\"" + old.expiresAt + "\"}"), live, false)),
                    graceful);
        }
        assertEquals(Cli.json(report.formatted(orphan, "", live, false)), json());
    }

    private JsonNode json(String... options) {
        return Cli.json(cleanUp(Stream.concat(Stream.of("--output=json"), Stream.of(options)).toArray(String[]::new)).out());
    }

    private String expires(String orphan) {
        SandboxBranch branch = sandbox.neon().branch(APP + "-" + orphan);
        return "'%s' (%s) expires on %s.\n".formatted(branch.name, branch.id, branch.expiresAt);
    }

    private void branches(String... names) {
        for (String name : names) {
            sandbox.neon().add(name);
        }
    }

    /** Returns the names of the branches that a run reports as deleted. */
    private static List<String> deleted(Cli.Result result) {
        return Pattern.compile("(?m)^Deleted '(.*)' \\(br-[a-z0-9-]+\\)\\.$").matcher(result.out()).results()
                .map(line -> line.group(1)).toList();
    }
}
