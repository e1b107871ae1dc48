"""Names that columns of payments have in tables out there, best guess first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from re import sub

from scoring.core.transaction.fields import FieldType, Role
from scoring.core.transaction.transaction import FIELDS

# Normalised: lower case, letters and digits only; a nested column by its last parts.
_USUAL: Mapping[str, tuple[str, ...]] = {
    "id": (
        "transactionid", "txid", "txnid", "transid", "transnum", "transactionnumber",
        "pspreference", "paymentreference", "chargeid", "id", "eventid",
    ),
    "payment_id": ("paymentid", "orderid", "paymentintent", "merchantreference"),
    "attempt": ("attempt", "retry", "attemptno"),
    "occurred_at": (
        "occurredat", "occurredatms", "txdatetime", "transdatetranstime", "timestamp",
        "datetime", "transactiondatetime", "transactiondate", "transactiontime",
        "creationdate", "createdat", "created", "eventtime", "eventdate", "time",
        "date", "unixtime", "transactiondt", "step",
    ),
    "amount": (
        "amountminor", "amountcents", "amountvalue", "amount", "txamount", "amt",
        "transactionamount", "transactionamt", "value",
    ),
    "currency": (
        "currency", "currencycode", "ccy", "amountcurrency", "transactioncurrency",
    ),
    "card": (
        "card", "cardid", "cardtoken", "cardfingerprint", "cardhash", "ccnum",
        "card1", "pan", "cardnumber", "recurringdetailreference",
    ),
    "customer": (
        "customer", "customerid", "clientid", "userid", "user", "accountid",
        "nameorig", "shopperreference",
    ),
    "merchant": (
        "merchant", "merchantid", "merchantname", "shopid", "namedest",
        "merchantaccount", "merchantaccountcode",
    ),
    "terminal": ("terminal", "terminalid", "posid", "deviceterminal"),
    "device": ("device", "deviceid", "devicefingerprint", "deviceinfo"),
    "channel": ("channel",),
    "entry_mode": ("entrymode", "posentrymode"),
    "merchant_category": (
        "merchantcategory", "mcc", "merchantcategorycode", "category",
    ),
    "card_country": ("cardcountry", "issuercountry", "bincountry", "cardissuecountry"),
    "merchant_country": ("merchantcountry", "country"),
    "ip_country": ("ipcountry",),
    "latitude": ("merchlat", "merchantlat", "merchantlatitude", "latitude", "lat"),
    "longitude": (
        "merchlong", "merchlon", "merchantlong", "merchantlongitude", "longitude",
        "long", "lon", "lng",
    ),
    "email": (
        "email", "emailaddress", "customeremail", "shopperemail", "payeremail",
        "buyeremail", "useremail", "mail",
    ),
    "phone": (
        "phone", "phonenumber", "customerphone", "telephonenumber", "telephone",
        "mobile", "mobilenumber", "mobilephone", "msisdn",
    ),
    "ip": (
        "ip", "ipaddress", "ipaddr", "clientip", "customerip", "shopperip", "userip",
        "payerip", "remoteip", "remoteaddr", "sourceip",
    ),
    "session": ("session", "sessionid", "sessiontoken"),
    "billing_address": (
        "billingaddress", "billingstreet", "billingaddressstreet",
        "billingaddressline1",
    ),
    "billing_postal_code": (
        "billingpostalcode", "billingpostcode", "billingzip", "billingzipcode",
        "billingaddresspostalcode", "billingaddresszip",
    ),
    "billing_country": ("billingcountry", "billingaddresscountry", "billtocountry"),
    "shipping_address": (
        "shippingaddress", "shippingstreet", "deliveryaddress",
        "shippingaddressstreet", "shippingaddressline1",
    ),
    "shipping_postal_code": (
        "shippingpostalcode", "shippingpostcode", "shippingzip", "shippingzipcode",
        "deliverypostalcode", "shippingaddresspostalcode", "shippingaddresszip",
    ),
    "shipping_country": (
        "shippingcountry", "deliverycountry", "shippingaddresscountry",
        "shiptocountry",
    ),
    "payer_account": (
        "payeraccount", "payeriban", "debtoraccount", "debtoriban", "senderaccount",
        "senderiban", "fromaccount", "fromiban", "sourceaccount", "originaccount",
        "accountfrom", "ibanfrom", "iban",
    ),
    "payee_account": (
        "payeeaccount", "payeeiban", "creditoraccount", "creditoriban",
        "beneficiaryaccount", "beneficiaryiban", "receiveraccount", "receiveriban",
        "toaccount", "toiban", "destinationaccount", "accountto", "ibanto",
    ),
    "bin": ("bin", "cardbin", "iin", "cardiin", "binnumber", "first6", "cardfirst6"),
    "issuer": (
        "issuer", "issuerid", "issuername", "cardissuer", "issuingbank", "issuerbank",
        "bankname",
    ),
    "wallet": ("wallet", "wallettype", "walletprovider", "digitalwallet"),
    "network_token": ("networktoken", "isnetworktoken"),
    "payment_method": ("paymentmethod", "paymentmethodtype", "method"),
    "rail": ("rail", "paymentrail"),
    "initiator": ("initiator", "initiatedby", "transactioninitiator"),
    "sequence": ("sequence", "sequencetype", "seqtp"),
    "avs_result": (
        "avsresult", "avs", "avsresultcode", "avscode", "avsresponse",
        "avsresponsecode",
    ),
    "cvv_result": (
        "cvvresult", "cvv", "cvvresultcode", "cvvresponse", "cvv2result", "cvcresult",
        "cvcresponse", "cvvmatch",
    ),
    "three_ds_version": ("threedsversion", "3dsversion", "threedsecureversion"),
    "three_ds_status": (
        "threedsstatus", "3dsstatus", "threedsecurestatus", "transstatus",
        "authenticationstatus",
    ),
    "eci": ("eci", "ecivalue", "eciindicator", "ecicode", "threedseci", "3dseci"),
    "liability_shift": ("liabilityshift", "liabilityshifted"),
    "previous_response_code": (
        "previousresponsecode", "priorresponsecode", "lastresponsecode",
    ),
    "fraud": (
        "fraud", "isfraud", "txfraud", "fraudbool", "fraudflag", "fraudlabel",
        "fraudulent", "chargeback", "class", "label", "target",
    ),
    "outcome": (
        "outcome", "decision", "authresult", "authorizationresult",
        "authorisationresult", "authorizationstatus", "authorisationstatus",
        "transactionstatus", "status", "success", "approved", "responsecode",
    ),
    "known_at": ("knownat", "labelledat", "chargebackat", "reportedat"),
}  # fmt: skip
# Inside an object they say nothing: the country of whose address?
_OF_ANYTHING = frozenset({"country", "value", "user", "date", "time"})
ZONE_NAMES = frozenset({"timezone", "tz", "zone"})
MINOR_NAMES = frozenset({"amountminor", "amountcents"})


def normal(name: str) -> str:
    """A column's name as the list above spells it.

    >>> normal("Is Fraud?")
    'isfraud'
    """
    return sub(r"[^a-z0-9]", "", name.lower())


# A field without usual names is known by its own; no table says whose payments it has.
KNOWN_NAMES: Mapping[str, tuple[str, ...]] = {
    **_USUAL,
    **{
        field.name: (normal(field.name),)
        for field in FIELDS
        if field.name not in _USUAL and field.role not in {Role.SCOPE, Role.EXTRA}
        if field.type not in {FieldType.MONEY, FieldType.INSTANT}
    },
}


def spellings(column: str) -> Iterator[str]:
    """A column's name, whole and by its last parts.

    >>> list(spellings("details.card.country"))
    ['detailscardcountry', 'cardcountry', 'country']
    """
    parts = column.split(".")
    for start in range(len(parts)):
        yield normal("".join(parts[start:]))


def candidates(field: str, columns: Iterable[str]) -> list[str]:
    """The columns that may be a field by their names, best first.

    >>> candidates("amount", ["value", "amt", "amount.value"])
    ['amount.value', 'amt', 'value']
    """
    ranks = {name: rank for rank, name in enumerate(KNOWN_NAMES[field])}
    found = []
    for column in columns:
        nested = "." in column
        known = [
            ranks[spelling]
            for spelling in spellings(column)
            if spelling in ranks and not (nested and spelling in _OF_ANYTHING)
        ]
        if known:
            found.append((min(known), column.count("."), column))
    return [column for *_, column in sorted(found)]
