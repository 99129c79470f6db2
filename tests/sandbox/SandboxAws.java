import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;

/**
 * The stand-in for two AWS services: Systems Manager's GetParameter, and Amplify's ListBranches, CreateBranch and DeleteBranch. Fields and
 * error codes are those of the services' models:
 * https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html and
 * https://docs.aws.amazon.com/amplify/latest/APIReference/API_ListBranches.html.
 */
final class SandboxAws {

    /** The only region that has the app and the parameters. */
    static final String REGION = "eu-central-1";
    static final String APP_ID = "d1a2b3c4d5e6f7";
    static final String ACCESS_KEY_ID = "AKIASANDBOXSANDBOX00";

    private static final Duration SIGNATURE_LASTS = Duration.ofMinutes(5);
    private static final String ACCOUNT = "123456789012";

    /** The default size of a page of ListBranches, and the largest. */
    private static final int PAGE_SIZE = 50;

    /** An Amplify branch. ListBranches returns the last two with it, and they must never appear in a log. */
    private record Branch(String name, String stage, String sourceBranch, String environmentSecret, String basicAuthCredentials) {
    }

    private final String secretAccessKey;
    private final Consumer<String> secrets;
    private final Supplier<Instant> clock;
    private final Map<String, String> parameters = new HashMap<>();
    private final Map<String, Branch> branches = new LinkedHashMap<>();
    private int maximumPageSize = PAGE_SIZE;
    private String denied = "";

    /**
     * @param secretAccessKey the key that requests must be signed with
     * @param secrets receives every secret that is created here
     */
    SandboxAws(String secretAccessKey, Consumer<String> secrets, Supplier<Instant> clock) {
        this.secretAccessKey = secretAccessKey;
        this.secrets = secrets;
        this.clock = clock;
    }

    /** Stores a parameter of the type SecureString. */
    synchronized void secureString(String name, String value) {
        parameters.put(name, value);
    }

    /** Adds branches to the app. */
    synchronized void branches(String... names) {
        for (String name : names) {
            add(name, "main".equals(name) ? "PRODUCTION" : "DEVELOPMENT", null);
        }
    }

    /** Adds the preview of a pull request, a branch named {@code pr-N}. */
    synchronized void pullRequest(int number, String sourceBranch) {
        add("pr-" + number, "PULL_REQUEST", sourceBranch);
    }

    synchronized void removeBranch(String name) {
        branches.remove(name);
    }

    synchronized void removeBranches() {
        branches.clear();
    }

    /** Limits the size of pages, whatever size a request asks for. */
    synchronized void maximumPageSize(int size) {
        maximumPageSize = size;
    }

    /** Refuses this action, such as {@code amplify:ListBranches}, as for a role whose policy does not allow it. */
    synchronized void deny(String action) {
        denied = action;
    }

    /** Answers a request to Systems Manager. */
    synchronized SandboxHttp.Answer ssm(SandboxHttp.Request request) {
        return answer(request, unused -> {
            String region = region(request, "ssm", 400);
            if (!"AmazonSSM.GetParameter".equals(request.headers().get("x-amz-target"))) {
                throw new SandboxHttp.Refusal(400, "UnknownOperationException", "");
            }
            return getParameter(SandboxJson.read(request.body()), region);
        });
    }

    private ObjectNode getParameter(JsonNode input, String region) {
        String name = input.path("Name").asText();
        String arn = "arn:aws:ssm:" + REGION + ":" + ACCOUNT + ":parameter" + (name.startsWith("/") ? "" : "/") + name;
        authorize(400, "ssm:GetParameter", arn);
        if (!parameters.containsKey(name) || !REGION.equals(region)) {
            throw new SandboxHttp.Refusal(400, "ParameterNotFound", "");
        }
        return SandboxJson.object("""
                {"Parameter": {"ARN": %s, "DataType": "text", "LastModifiedDate": 1733184000.123, "Name": %s, "Type": "SecureString",
                    "Value": %s, "Version": 1}}""",
                arn, name, input.path("WithDecryption").asBoolean() ? parameters.get(name) : "AQICAHhciphertext");
    }

    /** Answers a request to Amplify. */
    synchronized SandboxHttp.Answer amplify(SandboxHttp.Request request) {
        return answer(request, path -> {
            String action = "amplify:" + switch (request.method() + " " + path.size()) {
                case "GET 4" -> "ListBranches";
                case "POST 4" -> "CreateBranch";
                case "DELETE 5" -> "DeleteBranch";
                default -> throw new SandboxHttp.Refusal(404, "NotFoundException", "Unknown operation");
            };
            // Unlike AWS, the sandbox lets curl change the app without a signature, for those who do not have the aws command.
            boolean isUnsigned = !action.equals("amplify:ListBranches") && !request.headers().containsKey("authorization");
            String region = isUnsigned ? REGION : region(request, "amplify", 403);
            String app = "arn:aws:amplify:" + REGION + ":" + ACCOUNT + ":apps/" + path.get(2);
            authorize(403, action, app + "/branches/*");
            if (!APP_ID.equals(path.get(2)) || !REGION.equals(region)) {
                throw new SandboxHttp.Refusal(404, "NotFoundException", "App with id: " + path.get(2) + " not found");
            }
            return switch (request.method()) {
                case "GET" -> listBranches(app, request.query());
                case "POST" -> createBranch(app, SandboxJson.read(request.body()));
                default -> deleteBranch(app, path.get(4));
            };
        });
    }

    private ObjectNode listBranches(String app, Map<String, String> query) {
        int asked = Integer.parseInt(query.getOrDefault("maxResults", "0"));
        if (asked < 0 || asked > PAGE_SIZE) {
            throw new SandboxHttp.Refusal(400, "BadRequestException", "1 validation error detected: Value '" + asked
                    + "' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to " + PAGE_SIZE);
        }
        // Like Amplify's, a token holds characters that a URL has to encode.
        int from = Integer.parseInt(query.getOrDefault("nextToken", "+/=0").substring(3));
        int to = from + Math.min(asked == 0 ? PAGE_SIZE : asked, maximumPageSize);
        List<ObjectNode> all = new ArrayList<>();
        branches.values().forEach(branch -> all.add(json(app, branch)));
        return SandboxJson.object("""
                {"branches": %s, "nextToken": %s}""", all.subList(Math.min(from, all.size()), Math.min(to, all.size())),
                to < all.size() ? "+/=" + to : null);
    }

    /** Also takes a {@code sourceBranch}, which AWS gets from the Git host. */
    private ObjectNode createBranch(String app, JsonNode input) {
        String name = input.path("branchName").asText();
        if (name.isEmpty() || branches.containsKey(name)) {
            throw new SandboxHttp.Refusal(400, "BadRequestException",
                    name.isEmpty() ? "branchName is required" : "The branch already exists: " + name);
        }
        add(name, input.path("stage").asText("DEVELOPMENT"), input.path("sourceBranch").asText(null));
        return SandboxJson.object("{\"branch\": %s}", json(app, branches.get(name)));
    }

    private ObjectNode deleteBranch(String app, String name) {
        Branch branch = branches.remove(name);
        if (branch == null) {
            throw new SandboxHttp.Refusal(404, "NotFoundException", "Branch with name: " + name + " not found");
        }
        return SandboxJson.object("{\"branch\": %s}", json(app, branch));
    }

    private void add(String name, String stage, String sourceBranch) {
        String credentials = Base64.getEncoder().encodeToString(("preview:" + UUID.randomUUID()).getBytes(StandardCharsets.UTF_8));
        Branch branch = new Branch(name, stage, sourceBranch, "sk_sandbox_" + UUID.randomUUID(), credentials);
        secrets.accept(branch.environmentSecret());
        secrets.accept(credentials);
        branches.put(name, branch);
    }

    private static ObjectNode json(String app, Branch branch) {
        return SandboxJson.object("""
                {"branchArn": %s, "branchName": %s, "description": "", "stage": %s, "displayName": %s, "enableNotification": false,
                 "createTime": 1733184000.123, "updateTime": 1733187600.456, "environmentVariables": {"STRIPE_SECRET_KEY": %s},
                 "enableAutoBuild": true, "enableSkewProtection": false, "customDomains": [], "framework": "Next.js - SSR",
                 "activeJobId": "0000000007", "totalNumberOfJobs": "7", "enableBasicAuth": true, "enablePerformanceMode": false,
                 "basicAuthCredentials": %s, "ttl": "5", "enablePullRequestPreview": %s, "tags": {}, "sourceBranch": %s,
                 "destinationBranch": %s}""",
                app + "/branches/" + branch.name(), branch.name(), branch.stage(), branch.name().replaceAll("[^A-Za-z0-9-]", "-"),
                branch.environmentSecret(), branch.basicAuthCredentials(), branch.sourceBranch() == null, branch.sourceBranch(),
                branch.sourceBranch() == null ? null : "main");
    }

    /** Returns the region that a request was signed for. Refuses a wrong signature, and one that is too old or from the future. */
    private String region(SandboxHttp.Request request, String service, int status) {
        SandboxSignature signature = SandboxSignature.of(request, AwsBasicCredentials.create(ACCESS_KEY_ID, secretAccessKey), service)
                .orElseThrow(() -> new SandboxHttp.Refusal(status, "InvalidSignatureException", "The request signature we calculated does"
                        + " not match the signature you provided. Check your AWS Secret Access Key and signing method."));
        Duration age = Duration.between(signature.time(), clock.get());
        if (age.abs().compareTo(SIGNATURE_LASTS) > 0) {
            throw new SandboxHttp.Refusal(status, "InvalidSignatureException",
                    age.isNegative() ? "Signature not yet current" : "Signature expired");
        }
        return signature.region();
    }

    private void authorize(int status, String action, String resource) {
        if (action.equals(denied)) {
            throw new SandboxHttp.Refusal(status, "AccessDeniedException", "User: arn:aws:sts::" + ACCOUNT
                    + ":assumed-role/AmplifyServiceRole/BuildSession is not authorized to perform: " + action + " on resource: " + resource
                    + " because no identity-based policy allows the " + action + " action");
        }
    }

    /** Answers with the JSON that the operation returns for the path's parts, or with its refusal. */
    private static SandboxHttp.Answer answer(SandboxHttp.Request request, Function<List<String>, ObjectNode> operation) {
        Map<String, String> headers = new HashMap<>(Map.of("Content-Type", "application/x-amz-json-1.1",
                "x-amzn-RequestId", UUID.randomUUID().toString()));
        try {
            return new SandboxHttp.Answer(200, operation.apply(request.segments()).toString(), headers);
        } catch (SandboxHttp.Refusal refusal) {
            headers.put("x-amzn-ErrorType", refusal.code);
            String body = SandboxJson.object("{\"__type\": %s, \"message\": %s}", refusal.code, refusal.getMessage()).toString();
            return new SandboxHttp.Answer(refusal.status, body, headers);
        }
    }
}
