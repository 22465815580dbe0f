"""What recorded fundamentals state, and where: written by hand from the files.

A line names a field, the place of its value in the file, what to make of it (`words`, `country`,
`day`, `seconds` or a factor), and what is not as in the other lines: the currency, and the period.
"""

FMP_PROFILE = """
company_name        companyName        words
sector              sector             words
industry            industry           words
country             country            country
exchange            exchangeShortName  words
currency            currency           words
employees           fullTimeEmployees  1
current_price       price              1  USD
market_cap          mktCap             1  USD
dividend_per_share  lastDiv            1  USD
beta                beta               1
"""
FMP_QUOTE = """
current_price  price      1  USD
market_cap     marketCap  1  USD
"""
FMP_KEY_METRICS = """
enterprise_value            enterpriseValueTTM  1  USD
enterprise_value_to_ebitda  evToEBITDATTM       1
return_on_equity            returnOnEquityTTM   1  -    ttm
return_on_assets            returnOnAssetsTTM   1  -    ttm
"""
FMP_RATIOS = """
pe_ratio          priceToEarningsRatioTTM        1
peg_ratio         priceToEarningsGrowthRatioTTM  1
price_to_book     priceToBookRatioTTM            1
price_to_sales    priceToSalesRatioTTM           1
gross_margin      grossProfitMarginTTM           1  -  ttm
operating_margin  operatingProfitMarginTTM       1  -  ttm
profit_margin     netProfitMarginTTM             1  -  ttm
debt_to_equity    debtToEquityRatioTTM           1
current_ratio     currentRatioTTM                1
quick_ratio       quickRatioTTM                  1
dividend_yield    dividendYieldTTM               1
payout_ratio      dividendPayoutRatioTTM         1  -  ttm
"""
FMP_INCOME = """
fiscal_period_end           date             day  -    annual
revenue                     revenue          1    USD  annual
gross_profit                grossProfit      1    USD  annual
operating_income            operatingIncome  1    USD  annual
ebitda                      ebitda           1    USD  annual
net_income                  netIncome        1    USD  annual
earnings_per_share          eps              1    USD  annual
earnings_per_share_basic    eps              1    USD  annual
earnings_per_share_diluted  epsDiluted       1    USD  annual
"""
FMP_BALANCE = """
cash                 cashAndCashEquivalents   1  USD  annual
total_assets         totalAssets              1  USD  annual
total_liabilities    totalLiabilities         1  USD  annual
total_debt           totalDebt                1  USD  annual
shareholders_equity  totalStockholdersEquity  1  USD  annual
"""
FMP_CASH = """
operating_cash_flow  operatingCashFlow   1  USD  annual
capital_expenditure  capitalExpenditure  1  USD  annual
free_cash_flow       freeCashFlow        1  USD  annual
"""
YAHOO_2021 = """
company_name                price/longName                            words
sector                      assetProfile/sector                       words
industry                    assetProfile/industry                     words
country                     assetProfile/country                      country
exchange                    price/exchangeName                        words
currency                    price/currency                            words
employees                   summaryProfile/fullTimeEmployees          1
current_price               price/regularMarketPrice                  1     USD
market_cap                  summaryDetail/marketCap                   1     USD
enterprise_value            defaultKeyStatistics/enterpriseValue      1     USD
shares_outstanding          defaultKeyStatistics/sharesOutstanding    1
float_shares                defaultKeyStatistics/floatShares          1
short_ratio                 defaultKeyStatistics/shortRatio           1
beta                        defaultKeyStatistics/beta                 1
pe_ratio                    summaryDetail/trailingPE                  1
forward_pe                  summaryDetail/forwardPE                   1
peg_ratio                   defaultKeyStatistics/pegRatio             1
price_to_book               defaultKeyStatistics/priceToBook          1
price_to_sales              summaryDetail/priceToSalesTrailing12Months  1
enterprise_value_to_ebitda  defaultKeyStatistics/enterpriseToEbitda   1
return_on_equity            financialData/returnOnEquity              1     -    ttm
return_on_assets            financialData/returnOnAssets              1     -    ttm
gross_margin                financialData/grossMargins                1     -    ttm
operating_margin            financialData/operatingMargins            1     -    ttm
profit_margin               defaultKeyStatistics/profitMargins        1     -    ttm
revenue_growth              financialData/revenueGrowth               1     -    quarter
net_income_growth           defaultKeyStatistics/earningsQuarterlyGrowth  1  -   quarter
earnings_per_share_growth   financialData/earningsGrowth              1     -    quarter
debt_to_equity              financialData/debtToEquity                0.01
current_ratio               financialData/currentRatio                1
quick_ratio                 financialData/quickRatio                  1
book_value_per_share        defaultKeyStatistics/bookValue            1     USD
earnings_per_share_ttm      defaultKeyStatistics/trailingEps          1     USD  ttm
revenue_ttm                 financialData/totalRevenue                1     USD  ttm
net_income_ttm              defaultKeyStatistics/netIncomeToCommon    1     USD  ttm
ebitda_ttm                  financialData/ebitda                      1     USD  ttm
dividend_yield              summaryDetail/dividendYield               1
dividend_per_share          summaryDetail/dividendRate                1     USD
payout_ratio                summaryDetail/payoutRatio                 1     -    ttm
ex_dividend_date            summaryDetail/exDividendDate              seconds
next_earnings_date          calendarEvents/earnings/earningsDate/0    seconds
target_price                financialData/targetMeanPrice             1     USD
"""
# Without PEG; and the margin of one quarter where there was that of four.
YAHOO_2025 = "\n".join(
    line.replace("ttm", "quarter") if line.startswith("operating_margin") else line
    for line in YAHOO_2021.splitlines()
    if not line.startswith("peg_ratio")
)
YAHOO_SERIES = """
revenue                     TotalRevenue
gross_profit                GrossProfit
operating_income            OperatingIncome
ebitda                      EBITDA
net_income                  NetIncome
earnings_per_share          DilutedEPS
earnings_per_share_basic    BasicEPS
earnings_per_share_diluted  DilutedEPS
cash                        CashAndCashEquivalents
total_assets                TotalAssets
total_liabilities           TotalLiabilitiesNetMinorityInterest
total_debt                  TotalDebt
shareholders_equity         StockholdersEquity
operating_cash_flow         OperatingCashFlow
capital_expenditure         CapitalExpenditure
free_cash_flow              FreeCashFlow
"""
OVERVIEW = """
company_name                Name                        words
sector                      Sector                      words
industry                    Industry                    words
country                     Country                     country
exchange                    Exchange                    words
currency                    Currency                    words
employees                   FullTimeEmployees           1
market_cap                  MarketCapitalization        1      USD
shares_outstanding          SharesOutstanding           1
float_shares                SharesFloat                 1
short_ratio                 ShortRatio                  1
beta                        Beta                        1
pe_ratio                    TrailingPE                  1
forward_pe                  ForwardPE                   1
peg_ratio                   PEGRatio                    1
price_to_book               PriceToBookRatio            1
price_to_sales              PriceToSalesRatioTTM        1
enterprise_value_to_ebitda  EVToEBITDA                  1
return_on_equity            ReturnOnEquityTTM           1      -    ttm
return_on_assets            ReturnOnAssetsTTM           1      -    ttm
operating_margin            OperatingMarginTTM          1      -    ttm
profit_margin               ProfitMargin                1      -    ttm
revenue_growth              QuarterlyRevenueGrowthYOY   1      -    quarter
earnings_per_share_growth   QuarterlyEarningsGrowthYOY  1      -    quarter
book_value_per_share        BookValue                   1      USD
earnings_per_share_ttm      EPS                         1      USD  ttm
revenue_ttm                 RevenueTTM                  1      USD  ttm
ebitda_ttm                  EBITDA                      1      USD  ttm
dividend_yield              DividendYield               1
dividend_per_share          DividendPerShare            1      USD
payout_ratio                PayoutRatio                 1      -    ttm
ex_dividend_date            ExDividendDate              day
target_price                AnalystTargetPrice          1      USD
"""
INCOME_STATEMENT = """
fiscal_period_end  fiscalDateEnding  day
revenue            totalRevenue      1    USD
gross_profit       grossProfit       1    USD
operating_income   operatingIncome   1    USD
net_income         netIncome         1    USD
"""
ETHEREUM = """
company_name             name                                      words
current_price            market_data/current_price/usd             1  USD
market_cap               market_data/market_cap/usd                1  USD
circulating_supply       market_data/circulating_supply            1
total_supply             market_data/total_supply                  1
max_supply               market_data/max_supply                    1
fully_diluted_valuation  market_data/fully_diluted_valuation/usd   1  USD
volume_24h               market_data/total_volume/usd              1  USD
"""
# MKTCAP is NPRICE times SharesOut, and TTMREVPS some TTMREV by SharesOut: so those are in millions.
SNAPSHOT = """
company_name            CompanyName        words
industry                TRBC               words
exchange                NASD               words
currency                PriceCurrency      words
employees               Employees          1
current_price           NPRICE             1        USD
market_cap              MKTCAP             1000000  USD
enterprise_value        EV                 1000000  USD
shares_outstanding      SharesOut          1
float_shares            TotalFloat         1
pe_ratio                PEEXCLXOR          1
forward_pe              ProjPE             1
price_to_book           PRICE2BK           1
price_to_sales          TTMPR2REV          1
return_on_equity        TTMROEPCT          0.01     -    ttm
gross_margin            TTMGROSMGN         0.01     -    ttm
book_value_per_share    QBVPS              1        USD
earnings_per_share_ttm  TTMEPSXCLX         1        USD  ttm
revenue_ttm             TTMREV             1000000  USD  ttm
net_income_ttm          TTMNIAC            1000000  USD  ttm
ebitda_ttm              TTMEBITD           1000000  USD  ttm
dividend_per_share      TTMDIVSHR          1        USD
target_price            TargetPrice        1        USD
"""
