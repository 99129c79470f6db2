import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * Decides, from values alone, which Neon branches a clean-up deletes and which it keeps. It asks nothing and deletes nothing.
 *
 * <p>Only a branch named after the app can be an orphan; of those, whatever is live, wanted, or holds up something that stays is kept.
 *
 * @param delete the orphans, children before their parents, in the same order whatever the order of the lists they came from
 * @param kept the app's other branches, by name; branches of others are not mentioned
 */
record CleanupPlan(List<NeonApi.Branch> delete, List<Kept> kept) {

    /** A branch that stays, and why, in words. */
    record Kept(NeonApi.Branch branch, String reason) {
    }

    private static final Comparator<NeonApi.Branch> BY_NAME =
            Comparator.comparing(NeonApi.Branch::name).thenComparing(NeonApi.Branch::id);

    /**
     * Plans the clean-up of one app.
     *
     * @param appId the Amplify app
     * @param neonBranches every branch of the Neon project, read before the Amplify branches: a branch born in between is then no orphan
     * @param amplifyBranches every branch of the Amplify app
     * @param ownBranch the Amplify branch this build is for, or null outside a build of this app
     * @param productionBranch the Amplify branch that uses the parent branch itself, or null
     * @param keep globs over names of Amplify branches that stay; {@code *} stands for any text, {@code ?} for one character
     * @throws Failure if the list of Amplify branches cannot be the whole truth: it is empty, or the build's own branch is not in it
     */
    static CleanupPlan of(String appId, Collection<NeonApi.Branch> neonBranches, Collection<Aws.AmplifyBranch> amplifyBranches,
            String ownBranch, String productionBranch, List<String> keep) {
        Set<String> live = new HashSet<>();
        // A pull request's source branch may have a database without being an Amplify branch itself.
        amplifyBranches.forEach(branch -> Stream.of(branch.name(), branch.sourceBranch()).filter(Objects::nonNull).forEach(live::add));
        if (live.isEmpty()) {
            throw new Failure("Amplify lists no branch at all for app " + appId
                    + ", so nothing was deleted: check --app-id and --region, and delete the last Neon branches of a retired app by hand.");
        }
        if (ownBranch != null && !live.contains(ownBranch)) {
            throw new Failure("Amplify's list of branches of app " + appId + " lacks '" + ownBranch
                    + "', the branch of this build, so nothing was deleted: run the clean-up again once the list is whole.");
        }

        Protection protection = new Protection(appId, productionBranch, live, keep);
        Map<String, NeonApi.Branch> orphans = new HashMap<>();
        List<Kept> kept = new ArrayList<>();
        for (NeonApi.Branch branch : neonBranches) {
            if (!BranchName.isOf(appId, branch.name())) {
                continue;
            }
            protection.reason(branch).ifPresentOrElse(reason -> kept.add(new Kept(branch, reason)), () -> orphans.put(branch.id(), branch));
        }

        List<NeonApi.Branch> delete = childrenFirst(orphans, neonBranches);
        orphans.keySet().removeAll(delete.stream().map(NeonApi.Branch::id).toList());
        orphans.values().forEach(branch -> kept.add(new Kept(branch, "it has a child branch that stays")));
        kept.sort(Comparator.comparing(Kept::branch, BY_NAME));
        return new CleanupPlan(List.copyOf(delete), List.copyOf(kept));
    }

    /**
     * Refuses a plan that is larger than the user expects, whole: a mistake then costs nothing.
     *
     * @throws Failure if more than {@code max} branches would be deleted
     */
    void requireAtMost(int max) {
        if (delete.size() > max) {
            throw new Failure("Nothing was deleted: " + delete.size() + " orphans are more than --max-deletions " + max
                    + " allows; look at them with --dry-run, then run again with --max-deletions " + delete.size() + ".");
        }
    }

    /**
     * Takes the orphans that have no child left, again and again. What is never reached has a child that stays, and so stays too: Neon
     * refuses to delete a branch with children.
     */
    private static List<NeonApi.Branch> childrenFirst(Map<String, NeonApi.Branch> orphans, Collection<NeonApi.Branch> neonBranches) {
        Map<String, Integer> children = new HashMap<>();
        for (NeonApi.Branch branch : neonBranches) {
            children.merge(branch.parentId(), 1, Integer::sum);
        }
        TreeSet<NeonApi.Branch> childless = new TreeSet<>(BY_NAME);
        orphans.values().stream().filter(branch -> !children.containsKey(branch.id())).forEach(childless::add);

        List<NeonApi.Branch> ordered = new ArrayList<>();
        while (!childless.isEmpty()) {
            NeonApi.Branch branch = childless.pollFirst();
            ordered.add(branch);
            int left = children.merge(branch.parentId(), -1, Integer::sum);
            if (left == 0 && orphans.containsKey(branch.parentId())) {
                childless.add(orphans.get(branch.parentId()));
            }
        }
        return ordered;
    }
}
