//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code cleanup-branches} does, seen from outside; which branches it may delete is the matter of CleanupPlan's own tests. */
class CleanupBranchesTest extends InSandbox {

    private static final String APP = SandboxAws.APP_ID;

    @Test
    void deletes_only_the_orphans_of_this_app() {
        branches(APP + "-feature/login", APP + "-feature/old", APP + "-main", "staging", "feature/old", "d9-feature/old", APP);
        String id = sandbox.neon().branch(APP + "-feature/old").id;
        Cli.Result result = cleanUp();
        assertEquals("""
                Neon branches of app d1a2b3c4d5e6f7: 2 with an Amplify branch, 0 kept, 1 orphaned.
                Deleted 'd1a2b3c4d5e6f7-feature/old' (%s).
                """.formatted(id), result.out());
        assertEquals("", result.err());
        assertEquals(0, result.exitCode());
        assertEquals(List.of("production", APP + "-feature/login", APP + "-main", "staging", "feature/old", "d9-feature/old", APP),
                sandbox.neon().names());
    }

    @Test
    void has_nothing_to_do_the_second_time() {
        branches(APP + "-feature/old");
        cleanUp();
        Cli.Result again = cleanUp();
        assertEquals("Neon branches of app d1a2b3c4d5e6f7: 0 with an Amplify branch, 0 kept, 0 orphaned.\n", again.out());
        assertEquals(1, deletions());
    }

    @Test
    void says_what_it_keeps_and_why() {
        branches(APP + "-dev", APP + "-release/1", APP + "-precious", APP + "-parent");
        sandbox.neon().branch(APP + "-precious").makeProtected();
        sandbox.neon().add("someone's child", APP + "-parent");
        Cli.Result result = cleanUp("--keep", "release/*");
        assertEquals("""
                Keeping 'd1a2b3c4d5e6f7-dev': 'dev' is always kept.
                Keeping 'd1a2b3c4d5e6f7-parent': it has a child branch that stays.
                Keeping 'd1a2b3c4d5e6f7-precious': it is protected.
                Keeping 'd1a2b3c4d5e6f7-release/1': --keep 'release/*'.
                Neon branches of app d1a2b3c4d5e6f7: 0 with an Amplify branch, 4 kept, 0 orphaned.
                """, result.out());
    }

    @Test
    void keeps_the_branch_of_a_pull_request_and_of_its_source() {
        branches(APP + "-pr-7", APP + "-fix/typo", APP + "-pr-8");
        sandbox.aws().pullRequest(7, "fix/typo");
        assertEquals(List.of(APP + "-pr-8"), deleted(cleanUp()));
    }

    @Test
    void a_dry_run_says_the_same_and_deletes_nothing() {
        branches(APP + "-feature/old");
        Cli.Result result = cleanUp("--dry-run");
        assertEquals("""
                Neon branches of app d1a2b3c4d5e6f7: 0 with an Amplify branch, 0 kept, 1 orphaned.
                Would delete 'd1a2b3c4d5e6f7-feature/old' (%s).
                """.formatted(sandbox.neon().branch(APP + "-feature/old").id), result.out());
        assertEquals("", result.err());
        assertEquals(0, deletions());
    }

    @Test
    void refuses_a_plan_that_is_too_large_as_a_whole() {
        IntStream.range(0, 21).forEach(i -> branches(APP + "-old-" + i));
        for (int max : List.of(20, 0)) {
            Cli.Result refused = max == 20 ? cleanUp() : cleanUp("--max-deletions", "0");
            assertEquals("neon-ci: Nothing was deleted: 21 orphans are more than --max-deletions " + max + " allows; look at them with"
                    + " --dry-run, then run again with --max-deletions 21.\n", refused.err());
            assertEquals(1, refused.exitCode());
            assertEquals(0, deletions());
        }
        Cli.Result dryRun = cleanUp("--dry-run");
        assertEquals(21, dryRun.out().lines().filter(line -> line.startsWith("Would delete ")).count());
        assertEquals(1, dryRun.exitCode());

        assertEquals(0, cleanUp("--max-deletions", "21").exitCode());
        assertEquals(List.of("production"), sandbox.neon().names());
    }

    @Test
    void refuses_to_believe_that_the_app_has_no_branch() {
        branches(APP + "-feature/old");
        sandbox.aws().removeBranches();
        Cli.Result result = cleanUp();
        assertEquals("neon-ci: Amplify lists no branch at all for app d1a2b3c4d5e6f7, so nothing is deleted: check --app-id and --region,"
                + " and delete the last Neon branches of a retired app by hand.\n", result.err());
        assertEquals(1, result.exitCode());
        assertEquals(0, deletions());
    }

    @Test
    void refuses_a_list_that_lacks_the_branch_of_this_build() {
        branches(APP + "-feature/old");
        sandbox.aws().removeBranch("feature/login");
        Cli.Result result = cleanUp();
        assertEquals("neon-ci: Amplify's list of branches of app d1a2b3c4d5e6f7 lacks 'feature/login', the branch of this build, so nothing"
                + " is deleted: run the clean-up again once the list is whole.\n", result.err());
        assertEquals(1, result.exitCode());
        assertEquals(0, deletions());

        // A build of another app, or a laptop, has no branch of its own here.
        assertEquals(0, cleanUp(Map.of("AWS_APP_ID", "d9"), "--app-id", APP).exitCode());
        assertEquals(1, deletions());
    }

    @Test
    void reads_every_page_of_both_lists() {
        sandbox.neon().maximumPageSize(2);
        sandbox.aws().maximumPageSize(2);
        for (String branch : List.of("a", "b", "c", "d", "e")) {
            sandbox.aws().branches(branch);
            branches(APP + "-" + branch);
        }
        branches(APP + "-old");
        assertEquals(List.of(APP + "-old"), deleted(cleanUp()));
        assertEquals(4, sandbox.exchanges().stream().filter(exchange -> exchange.path().endsWith(APP + "/branches")).count());
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"branches\":null}", "{\"branches\":{}}", "[]"})
    void deletes_nothing_when_a_page_of_a_list_holds_no_list(String answer) {
        sandbox.neon().maximumPageSize(1);
        sandbox.aws().maximumPageSize(1);
        branches(APP + "-old");
        for (String page : List.of("/api/.*/branches$", "/api/.*/branches\\?cursor$", "/amplify/.*/branches$",
                "/amplify/.*/branches\\?nextToken$")) {
            sandbox.failNoMore();
            sandbox.fail("GET", page, -1, Fault.status(200, answer, Map.of()));
            Cli.Result result = cleanUp("--wait", "1s");
            assertEquals(1, result.exitCode(), page);
            assertTrue(result.err().matches("([^\n]* Retrying in [^\n]*\n)*neon-ci: Could not list the branches of [^\n]*\n"),
                    result.err());
            assertEquals(0, deletions());
        }
    }

    /** A deletion whose answer is lost has to be looked after, or what was done would be called failed. */
    @Test
    void begins_no_deletion_that_there_is_no_time_to_look_after() {
        branches(APP + "-old");
        Cli.Result result = cleanUp("--wait", "2s");
        assertEquals("The time was over before all was done; run again, which goes on where this run stopped.\n"
                + "neon-ci: 1 of 1 orphans could not be deleted; run again later.\n", result.err());
        assertEquals(1, result.exitCode());
        assertEquals(0, deletions());
    }

    @Test
    void takes_an_empty_token_for_the_end_of_the_list() {
        branches(APP + "-old");
        String answer = "{\"branches\":[{\"branchName\":\"feature/login\"}],\"nextToken\":\"\"}";
        sandbox.fail("GET", "/amplify/", 1, Fault.status(200, answer, Map.of()));
        assertEquals(List.of(APP + "-old"), deleted(cleanUp()));
    }

    @ParameterizedTest(name = "{0} branches a page")
    @ValueSource(ints = {1, 3})
    void deletes_nothing_whichever_page_of_either_list_it_is_that_cannot_be_read(int pageSize) {
        sandbox.neon().maximumPageSize(pageSize);
        sandbox.aws().maximumPageSize(pageSize);
        for (String branch : List.of("a", "b", "c", "d", "e")) {
            sandbox.aws().branches(branch);
            branches(APP + "-old-" + branch);
        }
        cleanUp("--dry-run");
        List<Exchange> pages = sandbox.exchanges().stream().filter(exchange -> exchange.path().endsWith("/branches")).toList();
        assertEquals((6 + pageSize - 1) / pageSize + (7 + pageSize - 1) / pageSize, pages.size());
        for (Exchange page : pages) {
            String token = page.query().entrySet().stream().filter(parameter -> parameter.getKey().matches("cursor|nextToken"))
                    .map(parameter -> "?" + parameter).findFirst().orElse("");
            sandbox.failNoMore();
            sandbox.fail("GET", "^" + Pattern.quote(page.path() + token) + "$", 1, Fault.neon(403, "", "no"));
            Cli.Result result = cleanUp();
            assertTrue(result.err().matches("neon-ci: Could not list the branches of [^\n]*403[^\n]*\n"), result.err());
            assertEquals(1, result.exitCode());
            assertEquals(0, deletions());
        }
        assertEquals(0, cleanUp().exitCode());
        assertEquals(5, deletions());
    }

    @Test
    void reads_neon_before_amplify_so_that_a_branch_born_in_between_stays() {
        cleanUp();
        List<String> lists = sandbox.exchanges().stream().map(Exchange::path).filter(path -> path.endsWith("/branches")).toList();
        assertEquals(List.of("/api/v2/projects/" + SandboxNeon.PROJECT_ID + "/branches", "/amplify/apps/" + APP + "/branches"), lists);
    }

    @Test
    void deletes_children_before_their_parents() {
        branches(APP + "-a");
        sandbox.neon().add(APP + "-b", APP + "-a");
        sandbox.neon().add(APP + "-c", APP + "-b");
        assertEquals(List.of(APP + "-c", APP + "-b", APP + "-a"), deleted(cleanUp()));
        assertEquals(3, deletions());
    }

    @Test
    void goes_on_after_a_failed_deletion_and_names_it() {
        branches(APP + "-a", APP + "-b");
        String child = sandbox.neon().add(APP + "-child", APP + "-a").id;
        sandbox.fail("DELETE", "/branches/" + child, -1, Fault.neon(403, "", "not permitted"));
        Cli.Result result = cleanUp("--output", "json");
        assertEquals(1, result.exitCode());
        assertEquals(1, result.out().lines().count());
        JsonNode report = Cli.json(result.out());
        assertEquals(List.of(APP + "-b"), names(report.path("deleted")));
        assertEquals(List.of(APP + "-child", APP + "-a"), names(report.path("failed")));
        assertTrue(result.err().contains("Could not delete Neon branch '" + APP + "-child' (" + child + "): Neon answered 403,"
                + " not permitted (request "), result.err());
        assertTrue(result.err().contains("\nDid not delete the rest: their child branches are still there.\n"), result.err());
        assertTrue(result.err().endsWith("\nneon-ci: 2 of 3 orphans could not be deleted; run again later.\n"), result.err());
        assertEquals(List.of("production", APP + "-a", APP + "-child"), sandbox.neon().names());
    }

    @ParameterizedTest
    @ValueSource(ints = {204, 404})
    void counts_a_branch_that_is_gone_already_as_deleted(int status) {
        branches(APP + "-old");
        String answer = status == 204 ? "" : "{\"code\":\"\",\"message\":\"branch not found\"}";
        sandbox.fail("DELETE", "", 1, Fault.status(status, answer, Map.of()));
        Cli.Result result = cleanUp();
        assertEquals(List.of(APP + "-old"), deleted(result));
        assertEquals(0, result.exitCode());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            404 | <html><body>Not Found</body></html> | Neon answered 404
            404 | {}                                  | Neon answered 404
            200 | {}                                  | answered with something that is not Neon's
            """)
    void does_not_take_the_word_of_others_for_it_that_a_branch_is_gone(int status, String body, String error) {
        branches(APP + "-old");
        sandbox.fail("DELETE", "", -1, Fault.status(status, body, Map.of()));
        Cli.Result result = cleanUp("--wait", "4s");
        assertTrue(result.err().contains(error), result.err());
        assertEquals(1, result.exitCode());
        assertEquals(List.of(), deleted(result));
    }

    @Test
    void lets_orphans_expire_after_the_time_of_grace_and_never_pushes_that_later() {
        branches(APP + "-feature/login", APP + "-gone", APP + "-soon", APP + "-late", APP + "-parent");
        Instant now = SandboxBranch.now();
        sandbox.neon().branch(APP + "-soon").expiresAt(now.plus(Duration.ofHours(1)));
        sandbox.neon().branch(APP + "-late").expiresAt(now.plus(Duration.ofDays(20)));
        sandbox.neon().add(APP + "-child", APP + "-parent");
        Cli.Result result = cleanUp("--grace", "3d");
        assertEquals("""
                Keeping 'd1a2b3c4d5e6f7-parent': it has a child branch, and waits for a later clean-up.
                Neon branches of app d1a2b3c4d5e6f7: 1 with an Amplify branch, 1 kept, 4 orphaned.
                """ + expires("soon") + expires("child") + expires("gone") + expires("late"), result.out());
        assertEquals("", result.err());
        assertEquals(0, result.exitCode());
        assertEquals(0, deletions());
        for (String orphan : List.of("gone", "late", "child")) {
            Duration grace = Duration.between(now, sandbox.neon().branch(APP + "-" + orphan).expiresAt);
            assertTrue(grace.compareTo(Duration.ofDays(3)) >= 0 && grace.compareTo(Duration.ofDays(3).plusMinutes(2)) < 0, grace::toString);
        }
        assertEquals(now.plus(Duration.ofHours(1)), sandbox.neon().branch(APP + "-soon").expiresAt);

        sandbox.forgetExchanges();
        Cli.Result again = cleanUp("--grace", "5d", "--max-deletions", "0");
        assertEquals(0, again.exitCode(), again.err());
        assertTrue(again.out().endsWith(expires("child") + expires("gone") + expires("late") + expires("soon")), again.out());
        assertEquals(List.of(), changes());

        sandbox.neon().passTime(Duration.ofDays(4));
        assertEquals(List.of("production", APP + "-feature/login", APP + "-parent"), sandbox.neon().names());
        assertTrue(cleanUp("--grace", "3d").out().endsWith(", 0 kept, 1 orphaned.\n" + expires("parent")));
    }

    @Test
    void reports_a_clean_up_with_grace_as_json() {
        branches(APP + "-old");
        SandboxBranch old = sandbox.neon().branch(APP + "-old");
        JsonNode planned = Cli.json(cleanUp("--grace", "3d", "--output", "json", "--dry-run").out());
        assertEquals(List.of(APP + "-old"), names(planned.path("expiring")));
        assertEquals(null, old.expiresAt);
        for (int run = 0; run < 2; run++) {
            String report = cleanUp("--grace", "3d", "--output", "json").out();
            assertEquals("""
                    {"deleted":[],"expiring":[{"id":"%s","name":"d1a2b3c4d5e6f7-old","expires_at":"%s"}],"kept":[],"failed":[],\
                    "dry_run":false}
                    """.formatted(old.id, old.expiresAt), report);
        }
    }

    @Test
    void counts_those_that_are_newly_set_to_expire_as_deletions() {
        branches(APP + "-a", APP + "-b", APP + "-soon");
        sandbox.neon().branch(APP + "-soon").expiresAt(SandboxBranch.now().plus(Duration.ofHours(1)));
        Cli.Result refused = cleanUp("--grace", "3d", "--max-deletions", "1");
        assertTrue(refused.err().startsWith("neon-ci: Nothing was deleted: 2 orphans are more than --max-deletions 1 allows;"),
                refused.err());
        assertEquals(null, sandbox.neon().branch(APP + "-a").expiresAt);
        assertEquals(0, cleanUp("--grace", "3d", "--max-deletions", "2").exitCode());
    }

    @Test
    void ends_when_amplify_lists_a_branch_without_a_name() {
        branches(APP + "-old");
        sandbox.fail("GET", "/amplify/", 1, Fault.status(200, "{\"branches\":[{\"branchName\":\"feature/login\"},{}]}", Map.of()));
        Cli.Result result = cleanUp();
        assertTrue(result.err().endsWith(", a branch without a name, or a page that was there before; run again later.\n"), result.err());
        assertEquals(0, deletions());
    }

    @Test
    void never_asks_for_a_deletion_that_cannot_be_undone_by_neon() {
        branches(APP + "-old");
        cleanUp();
        assertEquals(List.of(Map.of()), requests("DELETE", "").stream().map(Exchange::query).toList());
    }

    @Test
    void reports_as_json() {
        branches(APP + "-old", APP + "-feature/login");
        String old = sandbox.neon().branch(APP + "-old").id;
        String live = sandbox.neon().branch(APP + "-feature/login").id;
        String expected = """
                {"deleted":[{"id":"%s","name":"d1a2b3c4d5e6f7-old"}],"expiring":[],"kept":[{"id":"%s",\
                "name":"d1a2b3c4d5e6f7-feature/login","reason":"its Amplify branch exists"}],"failed":[],"dry_run":%s}
                """;
        assertEquals(expected.formatted(old, live, true), cleanUp("--output", "json", "--dry-run").out());
        assertEquals(expected.formatted(old, live, false), cleanUp("--output", "json").out());
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

    private int deletions() {
        return requests("DELETE", "").size();
    }

    /** Returns the names of the branches that a run says it has deleted. */
    private static List<String> deleted(Cli.Result result) {
        return Pattern.compile("(?m)^Deleted '(.*)' \\(br-[a-z0-9-]+\\)\\.$").matcher(result.out()).results()
                .map(line -> line.group(1)).toList();
    }

    private static List<String> names(JsonNode branches) {
        List<String> names = new ArrayList<>();
        branches.forEach(branch -> names.add(branch.path("name").asText()));
        return names;
    }
}
